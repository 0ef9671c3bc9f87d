"""Parsers of Stripe's objects: the fields that payflow reads, as typed values.

No other module of the product knows Stripe's field names. Input is plain JSON, from an event or
from the API. A parser returns None for an object that is not ours and raises ValueError for one
that is ours but cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DEFAULT_TIER = "premium"

# The type of the event that Stripe sends when an attempt to pay was declined.
PAYMENT_FAILED = "payment_intent.payment_failed"

# Stripe's amounts have up to 12 digits. No sum of a payment's refunds leaves bigint.
MAX_AMOUNT = 10**12 - 1
_MAX_TIME = 2**33  # the year 2242

_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """Whose payment it is and what for, from our metadata on Stripe's object."""

    user_id: int
    conversation_id: int
    tier: str
    link_id: str = ""  # empty: the session was not made by a link of this version
    deployment: str = ""  # settings.STRIPE_DEPLOYMENT of the server that made the session

    def as_metadata(self) -> dict[str, str]:
        """What `parse_reference` reads; the same for a session and its PaymentIntent."""
        metadata = {
            "user_id": str(self.user_id),
            "conversation_id": str(self.conversation_id),
            "tier": self.tier,
            "link_id": self.link_id,
        }
        return metadata | ({"deployment": self.deployment} if self.deployment else {})


@dataclass(frozen=True, slots=True)
class Price:
    """What a session asks for before discounts and tax; None if the object does not say."""

    amount_cents: int | None
    currency: str


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A Checkout Session that payflow created. Amounts are in the currency's smallest unit."""

    id: str
    reference: Reference
    status: str  # open, complete, expired
    payment_status: str  # paid, unpaid, no_payment_required
    payment_intent_id: str | None
    amount_cents: int
    currency: str
    price: Price
    created_at: datetime | None
    livemode: bool
    # Only the API's answer carries the PaymentIntent; an event has just its id.
    payment_failed: bool = False

    @property
    def is_paid(self) -> bool:
        """Paid, or nothing to pay. An unknown status counts as not paid."""
        return self.payment_status in ("paid", "no_payment_required")


@dataclass(frozen=True, slots=True)
class RefundUpdate:
    """The state of one refund."""

    id: str
    payment_intent_id: str
    amount_cents: int
    currency: str
    status: str  # pending, requires_action, succeeded, canceled, failed


@dataclass(frozen=True, slots=True)
class RefundedCharge:
    """A charge with the sum of its refunds when the event was sent."""

    payment_intent_id: str
    refunded_cents: int
    currency: str
    is_full: bool


@dataclass(frozen=True, slots=True)
class DisputeUpdate:
    """The state of one dispute. The status is a models.DisputeStatus, or one added later."""

    id: str
    payment_intent_id: str
    amount_cents: int
    currency: str
    reason: str
    status: str


@dataclass(frozen=True, slots=True)
class FraudWarning:
    """The card's issuer says that the payment was fraudulent: a dispute is likely to follow."""

    id: str
    payment_intent_id: str


Reversal = RefundUpdate | RefundedCharge | DisputeUpdate | FraudWarning


def parse_reference(stripe_object: Json) -> Reference | None:
    """The reference in an object's metadata; None without a readable one."""
    metadata = stripe_object.get("metadata")
    if not isinstance(metadata, dict):
        return None
    user_id, conversation_id = metadata.get("user_id"), metadata.get("conversation_id")
    if not (_is_id(user_id) and _is_id(conversation_id)):
        return None
    return Reference(
        user_id=int(str(user_id)),
        conversation_id=int(str(conversation_id)),
        tier=str(metadata.get("tier") or DEFAULT_TIER)[:64],
        link_id=str(metadata.get("link_id") or "")[:64],
        deployment=str(metadata.get("deployment") or ""),
    )


def parse_session(stripe_object: Json) -> CheckoutSession | None:
    """A Checkout Session in payment mode; None without our metadata. Raises ValueError."""
    reference = parse_reference(stripe_object)
    if reference is None or stripe_object.get("mode", "payment") != "payment":
        return None
    return CheckoutSession(
        id=_object_id(stripe_object),
        reference=reference,
        status=str(stripe_object.get("status") or ""),
        payment_status=str(stripe_object.get("payment_status") or ""),
        payment_intent_id=payment_intent_id(stripe_object),
        amount_cents=_amount(stripe_object, "amount_total"),
        currency=_currency(stripe_object),
        price=parse_price(stripe_object),
        created_at=time_of(stripe_object, "created"),
        livemode=bool(stripe_object.get("livemode")),
        payment_failed=_payment_failed(stripe_object.get("payment_intent")),
    )


def parse_price(session: Json) -> Price:
    """The price of a session, in its own currency if Stripe converted it. Raises ValueError."""
    conversion = session.get("currency_conversion")
    if isinstance(conversion, dict):
        return Price(
            _amount(conversion, "amount_subtotal"), _currency(conversion, "source_currency")
        )
    names = ("amount_subtotal", "amount_total")
    known = next((name for name in names if session.get(name) is not None), None)
    return Price(_amount(session, known) if known else None, _currency(session))


def parse_offer(price: Json) -> tuple[str, str, int, str] | None:
    """Name and description of a price's product, its amount and currency.

    None for a price without one amount. Raises ValueError.
    """
    if type(price.get("unit_amount")) is not int:
        return None
    product = price.get("product")
    texts = product if isinstance(product, dict) else {}
    return (
        str(texts.get("name") or ""),
        str(texts.get("description") or ""),
        _amount(price, "unit_amount"),
        _currency(price),
    )


def time_of(stripe_object: Json, name: str) -> datetime | None:
    """One of Stripe's times, which are whole seconds since 1970; None if there is none."""
    seconds = stripe_object.get(name)
    if type(seconds) is not int or not 0 < seconds < _MAX_TIME:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def parse_refund(stripe_object: Json) -> RefundUpdate | None:
    """A refund; None without a PaymentIntent, which all of ours have. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    if payment_intent is None:
        return None
    return RefundUpdate(
        id=_object_id(stripe_object),
        payment_intent_id=payment_intent,
        amount_cents=_amount(stripe_object, "amount"),
        currency=_currency(stripe_object),
        status=str(stripe_object.get("status") or "")[:32],
    )


def parse_refunded_charge(stripe_object: Json) -> RefundedCharge | None:
    """A refunded charge; None without a PaymentIntent. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    if payment_intent is None:
        return None
    return RefundedCharge(
        payment_intent_id=payment_intent,
        refunded_cents=_amount(stripe_object, "amount_refunded"),
        currency=_currency(stripe_object),
        is_full=stripe_object.get("refunded") is True,
    )


def parse_dispute(stripe_object: Json) -> DisputeUpdate | None:
    """A dispute; None without a PaymentIntent. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    if payment_intent is None:
        return None
    return DisputeUpdate(
        id=_object_id(stripe_object),
        payment_intent_id=payment_intent,
        amount_cents=_amount(stripe_object, "amount"),
        currency=_currency(stripe_object),
        reason=str(stripe_object.get("reason") or "")[:64],
        status=str(stripe_object.get("status") or "")[:32],
    )


def parse_fraud_warning(stripe_object: Json) -> FraudWarning | None:
    """An early fraud warning; None without a PaymentIntent. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    return FraudWarning(_object_id(stripe_object), payment_intent) if payment_intent else None


# The events about money that goes or may go back, and the parser of each one's object.
REVERSAL_PARSERS: Mapping[str, Callable[[Json], Reversal | None]] = {
    "charge.refunded": parse_refunded_charge,
    "refund.created": parse_refund,
    "refund.updated": parse_refund,
    "refund.failed": parse_refund,
    # Endpoints with an older API version send refund.updated under this name.
    "charge.refund.updated": parse_refund,
    "charge.dispute.created": parse_dispute,
    "charge.dispute.updated": parse_dispute,
    "charge.dispute.closed": parse_dispute,
    "charge.dispute.funds_withdrawn": parse_dispute,
    "charge.dispute.funds_reinstated": parse_dispute,
    "radar.early_fraud_warning.created": parse_fraud_warning,
}


# The members of an event that a replay reads, wherever they stand in it. None of them holds data
# about a person: names, addresses, cards and the texts of other products stand under other names.
_REPLAYED = """
    account amount amount_refunded amount_subtotal amount_total api_version charge code created
    currency currency_conversion data decline_code id last_payment_error livemode message
    metadata mode object payment_intent payment_status reason refunded source_currency status type
"""
REPLAYED = frozenset(_REPLAYED.split())
REPLAYED_METADATA = frozenset(["conversation_id", "deployment", "link_id", "tier", "user_id"])
# Members that describe a person, and those of them that name one.
_PERSONS = frozenset(("billing_details", "customer_details", "shipping", "shipping_details"))
_NAMES = frozenset(("customer_email", "email", "line1", "name", "phone", "receipt_email"))


def without_personal_data(event: Json) -> Json:
    """The event with nothing but what a replay reads."""
    kept: Json = _only_replayed(event, REPLAYED)
    return kept


def personal_names(event: Json) -> set[str]:
    """The names, email addresses, phone numbers and streets that the event's object holds."""
    return set(_personal_names(event["data"]["object"], inside=False))


def _only_replayed(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_only_replayed(inner, names) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _only_replayed(inner, REPLAYED_METADATA if name == "metadata" else names)
        for name, inner in value.items()
        if name in names
    }


def _personal_names(value: Any, *, inside: bool) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _personal_names(inner, inside=inside)
    elif isinstance(value, dict):
        for name, inner in value.items():
            named = name in _NAMES and (inside or name.endswith("email"))
            if named and isinstance(inner, str):
                yield inner
            yield from _personal_names(inner, inside=inside or name in _PERSONS)


def payment_intent_id(stripe_object: Json) -> str | None:
    """The id of the PaymentIntent that the object is or refers to, expanded or not."""
    if stripe_object.get("object") == "payment_intent":
        found = stripe_object.get("id")
    else:
        found = stripe_object.get("payment_intent")
    if isinstance(found, dict):
        found = found.get("id")
    return found if isinstance(found, str) and 0 < len(found) <= 255 else None


def decline_reason(payment_intent: Json) -> str:
    """Why the last attempt failed, e.g. "Your card was declined. (generic_decline)"."""
    error = payment_intent.get("last_payment_error")
    if not isinstance(error, dict):
        return "The payment failed; Stripe gave no reason."
    message = str(error.get("message") or "The payment failed.")
    code = decline_code(payment_intent)
    return f"{message} ({code})" if code else message


def decline_code(payment_intent: Json) -> str:
    """The bank's reason of the last failed attempt, else Stripe's; empty without one."""
    error = payment_intent.get("last_payment_error")
    if not isinstance(error, dict):
        return ""
    return str(error.get("decline_code") or error.get("code") or "")[:64]


def _payment_failed(payment_intent: object) -> bool:
    """True if the expanded PaymentIntent has failed and no attempt is in progress."""
    if not isinstance(payment_intent, dict):
        return False
    return payment_intent.get("status") in ("requires_payment_method", "canceled")


def _object_id(stripe_object: Json) -> str:
    found = stripe_object.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= 255:
        raise ValueError(f"The {_kind(stripe_object)} has no id.")
    return found


def _kind(stripe_object: Json) -> str:
    """What Stripe calls it, for a message."""
    return str(stripe_object.get("object"))[:64]


def _amount(stripe_object: Json, name: str) -> int:
    amount = stripe_object.get(name)
    if amount is None:
        return 0
    if type(amount) is not int or not 0 <= amount <= MAX_AMOUNT:  # a bool is an int
        raise ValueError(f"The {_kind(stripe_object)} has no readable {name}.")
    return amount


def _currency(stripe_object: Json, name: str = "currency") -> str:
    return str(stripe_object.get(name) or "usd").lower()[:3]


def _is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and _ID.fullmatch(str(value)) is not None
