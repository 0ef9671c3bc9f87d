"""The Stripe client: the only module of the product that imports the SDK.

Its functions return plain JSON, never an SDK object: those are not dicts and contain the API key
when pickled. Statements about the SDK were tested with stripe-python 16.1.0.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import stripe
from django.conf import settings

logger = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T")

CONNECT_TIMEOUT, READ_TIMEOUT = 2, 15  # seconds, per try
RETRIES = 2
TOLERANCE = 300  # seconds a signature's timestamp may be off, in either direction

stripe.enable_telemetry = False  # it would write a file to the home directory


class InvalidSignature(Exception):
    """The body has no valid, recent signature. The text says why."""


class StripeFailed(Exception):
    """Stripe refused, did not answer, or sent an unusable answer. The cause is logged.

    `code` and `detail` are for the user.
    """

    code = "stripe_failed"
    detail = "The payment provider did not answer as expected. Nothing was changed."


class IdempotencyKeyReused(StripeFailed):
    code = "idempotency_key_refused"
    detail = "This Idempotency-Key was used before for a different request."


class IdempotencyKeyInUse(StripeFailed):
    code = "idempotency_key_in_use"
    detail = "A request with this Idempotency-Key is in progress: try again in a moment."


class EmailRefused(StripeFailed):
    """Stripe does not accept the customer's email address."""


class RefundRefused(StripeFailed):
    """Stripe refused to refund. The text is Stripe's own."""


class CursorGone(Exception):
    """Stripe no longer has the event that a list was to start after."""


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """A Checkout Session just created, or replayed for a repeated idempotency key.

    `plain` is the whole answer.
    """

    id: str
    url: str
    plain: Json


def verify(body: bytes, signature: str) -> Json:
    """The event in `body`, if it was signed with a webhook secret within five minutes of now.

    `signature` is the Stripe-Signature header. Raises InvalidSignature, and ValueError if the body
    is signed but is not a JSON object. The SDK's construct_event uses the same verifier but takes
    25 times as long.
    """
    if not signature.isascii():  # the SDK's comparison raises TypeError
        raise InvalidSignature("The Stripe-Signature header is malformed.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidSignature("The body is not UTF-8.") from None
    _check_signature(text, signature)
    event = json.loads(text, parse_constant=_reject_constant)
    if not isinstance(event, dict):
        raise ValueError("The body is not a JSON object.")  # noqa: TRY004 - it is the body's value
    return event


def _check_signature(text: str, signature: str) -> None:
    cause = "No secret is configured."
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE)
        except stripe.SignatureVerificationError as error:
            cause = str(error.user_message or "The signature does not match.")
        else:
            return _reject_future_timestamp(signature)
    raise InvalidSignature(cause)


def _reject_future_timestamp(signature: str) -> None:
    """The SDK rejects only timestamps that are too old."""
    timestamp = next(part[2:] for part in signature.split(",") if part.startswith("t="))
    if int(timestamp) > time.time() + TOLERANCE:
        raise InvalidSignature("The signature's timestamp is in the future.")


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


def create_session(params: Json, *, idempotency_key: str | None) -> CreatedSession:
    """Create a Checkout Session. Raises StripeFailed and its subclasses.

    An answer with other metadata is another session's, and is refused.
    """
    options: Json = {"idempotency_key": idempotency_key} if idempotency_key else {}
    try:
        session = _client().v1.checkout.sessions.create(params, options)  # type: ignore[arg-type]
        plain = _plain(session)
    except Exception as error:  # the SDK also raises other exceptions than StripeError
        _fail("create a Checkout Session", error)
    session_id, url = plain.get("id"), plain.get("url")
    if not (isinstance(session_id, str) and session_id and isinstance(url, str) and url):
        _fail("create a Checkout Session", ValueError("Stripe's answer has no id and url"))
    if (plain.get("metadata") or params["metadata"]) != params["metadata"]:
        _fail("create a Checkout Session", ValueError("Stripe's answer is another session"))
    return CreatedSession(session_id, url, plain)


def retrieve_session(session_id: str) -> Json | None:
    """A Checkout Session with its PaymentIntent; None if Stripe has none. Raises StripeFailed."""
    options: Any = {"expand": ["payment_intent"]}
    sessions = _client().v1.checkout.sessions
    found = _retrieve("a Checkout Session", lambda: sessions.retrieve(session_id, options))
    if found is not None and found.get("id") != session_id:
        _fail("retrieve a Checkout Session", ValueError("Stripe's answer is another session"))
    return found


def expire_session(session_id: str) -> bool:
    """Expire a session; False if it is not open any more. Raises StripeFailed."""
    try:
        _client().v1.checkout.sessions.expire(session_id)
    except stripe.InvalidRequestError:
        return False
    except Exception as error:
        _fail("expire a Checkout Session", error)
    return True


def undelivered_events(types: Sequence[str], *, after: str | None) -> Iterator[Json]:
    """Events of these types that our endpoint has not accepted, oldest first, up to 30 days old.

    They start after the event with the id `after`. One page is in memory at a time. Raises
    CursorGone if Stripe no longer has that event, and StripeFailed.
    """
    if after is None:
        oldest = _oldest_undelivered(types)
        if oldest is None:
            return
        yield oldest
        after = str(oldest["id"])
    while True:
        page = _undelivered_page(types, ending_before=after)
        yield from reversed(page["data"])
        if not (page["has_more"] and page["data"]):
            return
        after = page["data"][0]["id"]


def _oldest_undelivered(types: Sequence[str]) -> Json | None:
    """The oldest event: Stripe lists the newest first, so every page has to be read."""
    oldest: Json | None = None
    cursor: Json = {}
    while True:
        page = _undelivered_page(types, **cursor)
        if page["data"]:
            oldest = page["data"][-1]
            cursor = {"starting_after": page["data"][-1]["id"]}
        if not (page["has_more"] and page["data"]):
            return oldest


def _undelivered_page(types: Sequence[str], **cursor: str) -> Json:
    params: Json = {"types": list(types), "delivery_success": False, "limit": 100, **cursor}
    try:
        return _plain(_client().v1.events.list(params))  # type: ignore[arg-type]
    except stripe.InvalidRequestError as error:
        if "ending_before" in cursor and error.code == "resource_missing":
            raise CursorGone(cursor["ending_before"]) from error
        _fail("list events", error)
    except Exception as error:
        _fail("list events", error)


def _client() -> stripe.StripeClient:
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@functools.lru_cache(maxsize=4)
def _client_for(key: str, base: str) -> stripe.StripeClient:
    """The process's client: it is thread-safe and keeps its connections open.

    The SDK's defaults are no retries and a timeout of 80 seconds.
    """
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)),
    )


def _plain(stripe_object: stripe.StripeObject) -> Json:
    return dict(stripe_object.to_dict())


def _retrieve(what: str, call: Callable[[], stripe.StripeObject]) -> Json | None:
    """The object that `call` retrieves, None if Stripe has none. Raises StripeFailed."""
    try:
        return _plain(call())
    except Exception as error:
        missing = isinstance(error, stripe.InvalidRequestError) and (
            error.http_status == 404 or error.code == "resource_missing"
        )
        if missing:
            return None
        _fail(f"retrieve {what}", error)


def _fail(what: str, error: Exception) -> NoReturn:
    """Log the cause and raise StripeFailed, which does not contain it."""
    logger.error("Stripe failed to %s: %s: %s", what, type(error).__name__, error)
    code = getattr(error, "code", None)
    if code == "idempotency_key_in_use":
        raise IdempotencyKeyInUse(what) from error
    if isinstance(error, stripe.IdempotencyError):
        raise IdempotencyKeyReused(what) from error
    if isinstance(error, stripe.InvalidRequestError) and error.param == "customer_email":
        raise EmailRefused(what) from error
    raise StripeFailed(what) from error


def create_refund(payment_intent_id: str, *, amount: int, idempotency_key: str) -> str:
    """Create a refund, in the currency's smallest unit, and return its id.

    Its result arrives by webhook. Repeats with the same key create one refund. Raises
    RefundRefused if nothing was refunded, and StripeFailed if that is not known.
    """
    params: Any = {"payment_intent": payment_intent_id, "amount": amount}
    try:
        refund = _client().v1.refunds.create(params, {"idempotency_key": idempotency_key})
    except stripe.InvalidRequestError as error:
        logger.warning("Stripe refused to refund %s: %s", payment_intent_id, error)
        raise RefundRefused(str(error.user_message or "no reason was given")) from error
    except Exception as error:
        _fail("create a refund", error)
    if refund.payment_intent != payment_intent_id:
        _fail("create a refund", ValueError("Stripe's answer is another refund"))
    return str(refund.id)


def payment_intent_of(charge_id: str) -> str | None:
    """The id of a charge's PaymentIntent; None if there is none. Raises StripeFailed."""
    charge = _retrieve("a charge", lambda: _client().v1.charges.retrieve(charge_id))
    found = charge.get("payment_intent") if charge else None
    return found if isinstance(found, str) else None


# --- Setting up an account (billing.stripe_setup) -------------------------------------------------

# What the SDK sends with every request, and so what our code reads.
API_VERSION = stripe.api_version


def retrieve_price(price_id: str) -> Json | None:
    """A price with its product; None if Stripe has none in this mode. Raises StripeFailed."""
    options: Any = {"expand": ["product"]}
    return _retrieve("a price", lambda: _client().v1.prices.retrieve(price_id, options))


def find_price(lookup_key: str) -> Json | None:
    """The active price with this lookup key. Raises StripeFailed."""
    found = _plain(
        _call(
            "list prices",
            lambda: _client().v1.prices.list(
                {
                    "lookup_keys": [lookup_key],
                    "active": True,
                    "expand": ["data.product"],
                }
            ),
        )
    )
    return found["data"][0] if found["data"] else None


def create_price(lookup_key: str, *, product: str, name: str, amount: int, currency: str) -> Json:
    """Create a one-time price, and its product if there is none. Raises StripeFailed."""
    products = _client().v1.products
    if _retrieve("a product", lambda: products.retrieve(product)) is None:
        _call("create a product", lambda: products.create({"id": product, "name": name}))
    params: Any = {"product": product, "unit_amount": amount, "currency": currency}
    params |= {"lookup_key": lookup_key, "expand": ["product"]}
    return _plain(_call("create a price", lambda: _client().v1.prices.create(params)))


def webhook_endpoints() -> list[Json]:
    """Every webhook endpoint of the account. Raises StripeFailed."""
    pages = _call(
        "list webhook endpoints", lambda: _client().v1.webhook_endpoints.list({"limit": 100})
    )
    return [_plain(endpoint) for endpoint in pages.auto_paging_iter()]


def create_webhook_endpoint(url: str, types: Sequence[str]) -> Json:
    """Create a webhook endpoint: only this answer has its `secret`. Raises StripeFailed."""
    params: Any = {"url": url, "enabled_events": list(types), "api_version": API_VERSION}
    endpoints = _client().v1.webhook_endpoints
    return _plain(_call("create a webhook endpoint", lambda: endpoints.create(params)))


def update_webhook_endpoint(endpoint_id: str, types: Sequence[str]) -> None:
    """Enable an endpoint for exactly these types. Raises StripeFailed."""
    params: Any = {"enabled_events": list(types), "disabled": False}
    endpoints = _client().v1.webhook_endpoints
    _call("update a webhook endpoint", lambda: endpoints.update(endpoint_id, params))


def _call(what: str, call: Callable[[], T]) -> T:
    """The result of a call to Stripe. Raises StripeFailed."""
    try:
        return call()
    except Exception as error:
        _fail(what, error)
