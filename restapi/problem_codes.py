"""The codes of problem documents: the status of each, when it is sent, what a client does.

docs/errors.md and the enum of the OpenAPI document are generated from this table.
"""

from __future__ import annotations

from typing import NamedTuple


class ProblemCode(NamedTuple):
    status: int
    when: str
    remedy: str


PROBLEM_CODES = {
    "bad_host": ProblemCode(
        400, "The `Host` header names another server.", "Correct the URL, or `ALLOWED_HOSTS`."
    ),
    "bad_request": ProblemCode(400, "The request cannot be read.", "Correct the request."),
    "idempotency_key_refused": ProblemCode(
        400,
        "The `Idempotency-Key` is not 1 to 255 visible ASCII characters, or Stripe has seen it "
        "with another body.",
        "Make a key, such as a UUID, for each thing that you want to make once.",
    ),
    "invalid_parameter": ProblemCode(
        400,
        "A query parameter is unknown, given twice or has a wrong value; `errors` names it.",
        "Correct the parameters that `errors` lists.",
    ),
    "invalid_signature": ProblemCode(
        400,
        "The `Stripe-Signature` of a webhook is missing, wrong or older than five minutes.",
        "Compare `STRIPE_WEBHOOK_SECRET` with the endpoint's secret, and the clocks.",
    ),
    "malformed_event": ProblemCode(
        400, "The body of a signed webhook is not an event.", "Send events as Stripe does."
    ),
    "parse_error": ProblemCode(400, "The body is not JSON.", "Send valid JSON in UTF-8."),
    "unknown_version": ProblemCode(
        400,
        "`Payflow-Version` names a version that does not exist.",
        "Send a version that docs/api-versions.md lists, or none.",
    ),
    "validation_failed": ProblemCode(
        400,
        "The body does not have the described shape; `errors` has a pointer to each fault.",
        "Correct the members that `errors` points to.",
    ),
    "authentication_failed": ProblemCode(
        401,
        "The API key or token is wrong, expired or revoked, or its user is not active. Of the "
        "token routes: the password or the refresh token is wrong.",
        "Get another token, or another key. A repeat cannot succeed.",
    ),
    "malformed_authorization": ProblemCode(
        401,
        "The `Authorization` header cannot be read.",
        "Send `Authorization: Bearer`, a space, and the key or token.",
    ),
    "not_authenticated": ProblemCode(
        401, "The request has no credentials.", "Send an API key or a JSON Web Token as bearer."
    ),
    "stripe_key": ProblemCode(
        401,
        "The `Authorization` header holds a key of Stripe's.",
        "Send a key of this service. Roll the Stripe key if it was sent by mistake.",
    ),
    "api_key_not_allowed": ProblemCode(
        403,
        "An API key tried to create, reveal or rotate a key.",
        "Use a JSON Web Token or a session: only people manage keys.",
    ),
    "checkout_closed": ProblemCode(
        403,
        "Staff have closed Checkout for customers who never paid.",
        "Try again later.",
    ),
    "payment_required": ProblemCode(
        403,
        "The user has no completed payment, or each was refunded.",
        "Create a payment link and pay it.",
    ),
    "permission_denied": ProblemCode(
        403,
        "The request is not allowed; with a session cookie, its `X-CSRFToken` is missing.",
        "Send the token of the `csrftoken` cookie, or use a bearer.",
    ),
    "second_factor_required": ProblemCode(
        403,
        "The account has a second factor: a password alone is no token.",
        "Sign in on the page, or use a token that a backend of yours signs.",
    ),
    "not_found": ProblemCode(
        404,
        "There is nothing at this address, or it belongs to another user: the two look alike.",
        "Check the id and whose credentials are sent.",
    ),
    "method_not_allowed": ProblemCode(
        405, "The route has no such method.", "Use a method of the `Allow` header."
    ),
    "already_created": ProblemCode(
        409,
        "A request with this `Idempotency-Key` has created a key, more than a minute ago.",
        "The key cannot be shown again: rotate it, or create another with a new `Idempotency-Key`.",
    ),
    "already_paid": ProblemCode(
        409, "The conversation is paid.", "Nothing to pay: read the conversation again."
    ),
    "already_revealed": ProblemCode(
        409, "The key was shown before.", "It cannot be shown again: rotate it to get a successor."
    ),
    "already_rotated": ProblemCode(
        409, "The key has a successor.", "Reveal or rotate the successor."
    ),
    "email_taken": ProblemCode(
        409,
        "Another account has this email address.",
        "Change or erase that account first, or send another address.",
    ),
    "idempotency_key_in_use": ProblemCode(
        409,
        "A request with this `Idempotency-Key` is in progress.",
        "Send the same request again in a moment.",
    ),
    "idempotency_key_reused": ProblemCode(
        409,
        "The `Idempotency-Key` was used for a request with another body.",
        "Use a new key for another request.",
    ),
    "key_not_usable": ProblemCode(
        409,
        "The key is suspended or expired, or its payment is disputed or was stopped by support.",
        "Read its `state`. A suspension ends by itself or by support.",
    ),
    "payment_under_way": ProblemCode(
        409,
        "A payment of the conversation is pending.",
        "Read the conversation again until its `paymentStatus` changes.",
    ),
    "revealed_meanwhile": ProblemCode(
        409,
        "The key was revealed while it was being deleted, and was not deleted.",
        "Delete it again if it is still unwanted.",
    ),
    "session_expired": ProblemCode(
        409,
        "The `Idempotency-Key` belongs to a payment link that cannot be paid any more.",
        "Ask for a link with a new `Idempotency-Key`.",
    ),
    "too_many_keys": ProblemCode(
        409, "The user has as many live keys as are allowed.", "Delete a key first."
    ),
    "length_required": ProblemCode(
        411, "The body is sent without `Content-Length`.", "Send its length, not in chunks."
    ),
    "body_too_large": ProblemCode(
        413, "The body is larger than 1 MiB.", "Send less: no request needs that much."
    ),
    "unsupported_media_type": ProblemCode(
        415, "The body is not `application/json`.", "Send `Content-Type: application/json`."
    ),
    "throttled": ProblemCode(
        429,
        "Too many requests, links or conversations of this key or account, or too many failed "
        "authentications from this address.",
        "Wait for the seconds of `Retry-After`. `RateLimit` says beforehand what is left.",
    ),
    "too_many_failures": ProblemCode(
        429,
        "Too many wrong passwords for this account from this address.",
        "Wait for the seconds of `Retry-After`.",
    ),
    "event_not_processed": ProblemCode(
        500,
        "The event is stored, but processing it failed.",
        "Send it again; Stripe does so by itself.",
    ),
    "internal_error": ProblemCode(
        500,
        "Something failed on the server.",
        "Try again later; report the `requestId` if it stays.",
    ),
    "stripe_failed": ProblemCode(
        500,
        "Stripe did not answer as expected. Nothing was changed.",
        "Send the same request again, with the same `Idempotency-Key`.",
    ),
    "database_unavailable": ProblemCode(
        503,
        "The database does not answer. Nothing was changed.",
        "Send the same request again after the seconds of `Retry-After`.",
    ),
    "stripe_busy": ProblemCode(
        503,
        "Stripe answers slowly, and as many requests as may wait for it are waiting.",
        "Send the same request again after the seconds of `Retry-After`.",
    ),
}
