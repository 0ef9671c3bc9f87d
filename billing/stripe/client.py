"""The Stripe client: the only module of the product that imports the SDK.

Its functions return plain JSON, never an SDK object: those are not dicts and contain the API key
when pickled. Statements about the SDK were tested with stripe-python 16.1.0.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, ParamSpec, TypeVar

import requests
import stripe
from django.conf import settings

logger = logging.getLogger(__name__)

Json = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

CONNECT_TIMEOUT, READ_TIMEOUT = 2, 15  # seconds, per try
RETRIES = 2
# Seconds for all calls of one request, with their tries and pauses: browsers and proxies give up
# after half a minute.
DEADLINE = 18.0
TOLERANCE = 300  # seconds a signature's timestamp may be off, in either direction

stripe.enable_telemetry = False  # it would write a file to the home directory


class InvalidSignature(Exception):
    """The body has no valid, recent signature. The text is for its sender."""


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


class StripeBusy(StripeFailed):
    """As many threads as may wait for Stripe are waiting. Nothing was sent."""

    code = "stripe_busy"
    detail = "The payment provider answers slowly at the moment: try again in a few seconds."
    retry_after = 5  # seconds


class EmailRefused(StripeFailed):
    """Stripe does not accept the customer's email address."""


class RefundRefused(StripeFailed):
    """Stripe refused to refund. The text is Stripe's own."""


class CursorGone(Exception):
    """Stripe no longer has the event that a list was to start after."""


_deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline")


def within_deadline(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: all calls to Stripe in the function together have DEADLINE seconds."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with within(DEADLINE):
            return function(*args, **kwargs)

    return wrapper


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give all calls to Stripe inside together so long, or what is left of a deadline outside."""
    if _deadline.get(0.0):
        yield
        return
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class _Slots:
    """How many threads wait for Stripe: the others go on serving what does not need it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def take(self) -> None:
        with self._lock:
            if self._taken >= settings.STRIPE_CONCURRENCY:
                raise StripeBusy
            self._taken += 1

    def release(self) -> None:
        with self._lock:
            self._taken -= 1


_slots = _Slots()


@within_deadline
def _ask(call: Callable[[], T]) -> T:
    """Make a call of the SDK, and wait for it until the deadline. Raises what the SDK raises.

    The call runs in a thread of its own, because no time limit of the SDK is for a whole call: a
    server that sends a byte now and then keeps all of them. Its slot is taken until it ends.
    """
    _slots.take()
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # the waiting thread raises it
            future.set_exception(error)
        finally:
            _slots.release()

    context = contextvars.copy_context()
    try:
        threading.Thread(target=context.run, args=[run], name="Stripe", daemon=True).start()
    except RuntimeError:  # no thread can be started
        _slots.release()
        raise
    return future.result(timeout=max(_deadline.get() - time.monotonic(), 0))


class _HTTPClient(stripe.RequestsClient):
    def _should_retry(self, *args: Any, **kwargs: Any) -> bool:
        """As the SDK does, but not after the deadline: nobody waits for the answer then."""
        return time.monotonic() < _deadline.get(0.0) and super()._should_retry(*args, **kwargs)


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
    if not signature:
        raise InvalidSignature("The Stripe-Signature header is missing.")
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
    cause: Exception | None = None
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE)
        except stripe.SignatureVerificationError as error:
            cause = error
        else:
            return _reject_future_timestamp(signature)
    # Not the SDK's text, which is advice for a developer.
    raise InvalidSignature(
        "The signature does not fit the body and a signing secret of this server, or its "
        "timestamp is more than five minutes old."
    ) from cause


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
        create = _client().v1.checkout.sessions.create
        session = _ask(lambda: create(params, options))  # type: ignore[arg-type]
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
        _ask(lambda: _client().v1.checkout.sessions.expire(session_id))
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
    return _oldest_first({"types": list(types), "delivery_success": False}, after)


def events_since(types: Sequence[str], since: datetime) -> Iterator[Json]:
    """Events of these types since this time, delivered ones too, oldest first, up to 30 days old.

    Raises StripeFailed.
    """
    created = {"gte": int(since.timestamp())}
    return _oldest_first({"types": list(types), "created": created}, None)


def sessions_since(since: datetime) -> Iterator[Json]:
    """The Checkout Sessions made since this time with their PaymentIntents. Raises StripeFailed."""
    params: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
    params["expand"] = ["data.payment_intent"]
    sessions = _client().v1.checkout.sessions
    while True:
        page = _plain(_call("list Checkout Sessions", lambda: sessions.list(params)))
        yield from page["data"]
        if not (page["has_more"] and page["data"]):
            return
        params["starting_after"] = page["data"][-1]["id"]


def _oldest_first(filters: Json, after: str | None) -> Iterator[Json]:
    if after is None:
        oldest = _oldest_event(filters)
        if oldest is None:
            return
        yield oldest
        after = str(oldest["id"])
    while True:
        page = _event_page(filters, ending_before=after)
        yield from reversed(page["data"])
        if not (page["has_more"] and page["data"]):
            return
        after = page["data"][0]["id"]


def _oldest_event(filters: Json) -> Json | None:
    """The oldest event: Stripe lists the newest first, so every page has to be read."""
    oldest: Json | None = None
    cursor: Json = {}
    while True:
        page = _event_page(filters, **cursor)
        if page["data"]:
            oldest = page["data"][-1]
            cursor = {"starting_after": page["data"][-1]["id"]}
        if not (page["has_more"] and page["data"]):
            return oldest


def _event_page(filters: Json, **cursor: str) -> Json:
    params: Json = {**filters, "limit": 100, **cursor}
    try:
        page = _ask(lambda: _client().v1.events.list(params))  # type: ignore[arg-type]
        return _plain(page)
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
        # One session for all threads: a thread of its own would have no open connection.
        http_client=_HTTPClient(
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), session=requests.Session()
        ),
    )


def _plain(stripe_object: stripe.StripeObject) -> Json:
    return dict(stripe_object.to_dict())


def _retrieve(what: str, call: Callable[[], stripe.StripeObject]) -> Json | None:
    """The object that `call` retrieves, None if Stripe has none. Raises StripeFailed."""
    try:
        return _plain(_ask(call))
    except Exception as error:
        missing = isinstance(error, stripe.InvalidRequestError) and (
            error.http_status == 404 or error.code == "resource_missing"
        )
        if missing:
            return None
        _fail(f"retrieve {what}", error)


def _fail(what: str, error: Exception) -> NoReturn:
    """Log the cause and raise StripeFailed, which does not contain it."""
    if isinstance(error, StripeBusy):
        logger.warning("Too many threads wait for Stripe to %s", what)
        raise error
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
        options: Any = {"idempotency_key": idempotency_key}
        refund = _ask(lambda: _client().v1.refunds.create(params, options))
    except stripe.InvalidRequestError as error:
        logger.warning("Stripe refused to refund %s: %s", payment_intent_id, error)
        raise RefundRefused(str(error.user_message or "no reason was given")) from error
    except Exception as error:
        _fail("create a refund", error)
    if refund.payment_intent != payment_intent_id:
        _fail("create a refund", ValueError("Stripe's answer is another refund"))
    return str(refund.id)


def receipt_url(payment_intent_id: str) -> str | None:
    """The page of Stripe's receipt; None if there is none. Raises StripeFailed.

    Asked for each time: Stripe's address of a receipt ends after some weeks.
    """
    options: Any = {"expand": ["latest_charge"]}
    intents = _client().v1.payment_intents
    found = _retrieve("a payment", lambda: intents.retrieve(payment_intent_id, options))
    charge = found.get("latest_charge") if found else None
    url = charge.get("receipt_url") if isinstance(charge, dict) else None
    own = ("https://", f"{settings.STRIPE_API_BASE}/") if settings.STRIPE_API_BASE else "https://"
    return url if isinstance(url, str) and url.startswith(own) else None


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
        return _ask(call)
    except Exception as error:
        _fail(what, error)
