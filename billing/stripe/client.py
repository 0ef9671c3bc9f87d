"""The only door to Stripe: the SDK is imported here and nowhere else.

What comes back is plain JSON, never an SDK object (those are not dicts, and pickled they contain
the API key). Facts about the SDK are of stripe-python 16.1.0, tried.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import stripe
from django.conf import settings

logger = logging.getLogger(__name__)

Json = dict[str, Any]

CONNECT_TIMEOUT, READ_TIMEOUT = 2, 15  # seconds, per try
RETRIES = 2
TOLERANCE = 300  # seconds a signature's timestamp may be off, in either direction

stripe.enable_telemetry = False  # it would write a file below the home folder


class InvalidSignature(Exception):
    """The body is not one that Stripe signed for us just now. The text says why."""


class StripeFailed(Exception):
    """Stripe refused, did not answer, or answered nonsense. The cause is logged."""


class IdempotencyKeyReused(StripeFailed):
    """The caller's idempotency key was used before for a different request."""


class IdempotencyKeyInUse(StripeFailed):
    """A request with the same idempotency key is still under way."""


class CursorGone(Exception):
    """Stripe no longer keeps the event that a list was to start behind."""


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """A Checkout Session just created, or replayed for a repeated idempotency key."""

    id: str
    url: str
    replayed: bool


def verify(body: bytes, signature: str) -> Json:
    """The event in `body`, if one of our webhook secrets signed it within five minutes of now.

    `signature` is the Stripe-Signature header. Raises InvalidSignature, and ValueError when the
    body is signed but is not a JSON object. The SDK's construct_event would cost 25 times as
    much; its verifier is the same.
    """
    if not signature.isascii():  # the SDK's comparison raises TypeError
        raise InvalidSignature("The Stripe-Signature header is malformed.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidSignature("The body is not UTF-8.") from None
    _check_signature(text, signature)
    event = json.loads(text, parse_constant=_no_constant)
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
            return _refuse_the_future(signature)
    raise InvalidSignature(cause)


def _refuse_the_future(signature: str) -> None:
    """The SDK checks only that a timestamp is not too old."""
    timestamp = next(part[2:] for part in signature.split(",") if part.startswith("t="))
    if int(timestamp) > time.time() + TOLERANCE:
        raise InvalidSignature("The signature's timestamp is in the future.")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON.")


def create_session(params: Json, *, idempotency_key: str | None) -> CreatedSession:
    """Create a Checkout Session. Raises StripeFailed and its two kinds about idempotency."""
    options: Json = {"idempotency_key": idempotency_key} if idempotency_key else {}
    try:
        session = _client().v1.checkout.sessions.create(params, options)  # type: ignore[arg-type]
        plain = _plain(session)
    except Exception as error:  # not all of the SDK's failures are StripeErrors
        _fail("create a Checkout Session", error)
    session_id, url = plain.get("id"), plain.get("url")
    if not (isinstance(session_id, str) and session_id and isinstance(url, str) and url):
        _fail("create a Checkout Session", ValueError("Stripe's answer has no id and url"))
    headers = session.last_response.headers if session.last_response else {}
    replayed = str(headers.get("Idempotent-Replayed", "")).lower() == "true"
    return CreatedSession(session_id, url, replayed)


def retrieve_session(session_id: str) -> Json | None:
    """A Checkout Session as it is now, with its PaymentIntent, None where Stripe knows none.

    Raises StripeFailed.
    """
    try:
        expanded = {"expand": ["payment_intent"]}
        session = _client().v1.checkout.sessions.retrieve(session_id, expanded)  # type: ignore[arg-type]
        return _plain(session)
    except stripe.InvalidRequestError as error:
        if error.http_status == 404 or error.code == "resource_missing":
            return None
        _fail("retrieve a Checkout Session", error)
    except Exception as error:
        _fail("retrieve a Checkout Session", error)


def expire_session(session_id: str) -> bool:
    """Make an open session unpayable; False when it is not open any more. Raises StripeFailed."""
    try:
        _client().v1.checkout.sessions.expire(session_id)
    except stripe.InvalidRequestError:
        return False
    except Exception as error:
        _fail("expire a Checkout Session", error)
    return True


def undelivered_events(kinds: Sequence[str], *, after: str | None) -> Iterator[Json]:
    """Events of these types that our endpoint has not accepted, oldest first, up to 30 days old.

    `after` is the id of an event to start behind. One page is in memory at a time. Raises
    CursorGone when Stripe no longer knows that event, and StripeFailed.
    """
    if after is None:
        oldest = _oldest_undelivered(kinds)
        if oldest is None:
            return
        yield oldest
        after = str(oldest["id"])
    while True:
        page = _undelivered_page(kinds, ending_before=after)
        yield from reversed(page["data"])
        if not (page["has_more"] and page["data"]):
            return
        after = page["data"][0]["id"]


def _oldest_undelivered(kinds: Sequence[str]) -> Json | None:
    """Stripe lists the newest first and has no other way to its oldest than page by page."""
    oldest: Json | None = None
    cursor: Json = {}
    while True:
        page = _undelivered_page(kinds, **cursor)
        if page["data"]:
            oldest = page["data"][-1]
            cursor = {"starting_after": page["data"][-1]["id"]}
        if not (page["has_more"] and page["data"]):
            return oldest


def _undelivered_page(kinds: Sequence[str], **cursor: str) -> Json:
    params: Json = {"types": list(kinds), "delivery_success": False, "limit": 100, **cursor}
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
    """One client for a process: it is thread-safe and keeps its connections.

    The SDK's own defaults are no retry and a timeout of 80 seconds.
    """
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)),
    )


def _plain(stripe_object: stripe.StripeObject) -> Json:
    return dict(stripe_object.to_dict())


def _fail(what: str, error: Exception) -> NoReturn:
    """Log the cause and raise the StripeFailed that tells callers what they may know."""
    logger.error("Stripe failed to %s: %s: %s", what, type(error).__name__, error)
    code = getattr(error, "code", None)
    if code == "idempotency_key_in_use":
        raise IdempotencyKeyInUse(what) from error
    if isinstance(error, stripe.IdempotencyError):
        raise IdempotencyKeyReused(what) from error
    raise StripeFailed(what) from error


class RefundRefused(StripeFailed):
    """Stripe understood and will not refund. The text is Stripe's own."""


def create_refund(payment_intent_id: str, *, amount: int, idempotency_key: str) -> str:
    """Ask for money back, in the smallest unit, and return the refund's id.

    What came of it is told by webhook. The same key asks once, however often it is sent. Raises
    RefundRefused when nothing was refunded, and StripeFailed when that is not known.
    """
    params: Any = {"payment_intent": payment_intent_id, "amount": amount}
    try:
        refund = _client().v1.refunds.create(params, {"idempotency_key": idempotency_key})
    except stripe.InvalidRequestError as error:
        logger.warning("Stripe refused to refund %s: %s", payment_intent_id, error)
        raise RefundRefused(str(error.user_message or "no reason was given")) from error
    except Exception as error:
        _fail("create a refund", error)
    return str(refund.id)


def payment_intent_of(charge_id: str) -> str | None:
    """The PaymentIntent that a charge belongs to, None where there is none. Raises StripeFailed."""
    try:
        charge = _plain(_client().v1.charges.retrieve(charge_id))
    except stripe.InvalidRequestError as error:
        if error.http_status == 404 or error.code == "resource_missing":
            return None
        _fail("retrieve a charge", error)
    except Exception as error:
        _fail("retrieve a charge", error)
    found = charge.get("payment_intent")
    return found if isinstance(found, str) else None
