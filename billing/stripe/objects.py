"""What payflow reads of Stripe's objects, and nothing else of them.

The one place that knows their field names. Input is plain JSON, from an event or from the API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_TIER = "premium"

_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """Whose payment an object belongs to, as our own metadata on it says."""

    user_id: int
    conversation_id: int
    tier: str


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A Checkout Session of ours. `amount_cents` is in the currency's smallest unit."""

    id: str
    reference: Reference
    status: str  # open, complete, expired
    payment_status: str  # paid, unpaid, no_payment_required
    payment_intent_id: str | None
    amount_cents: int
    currency: str
    livemode: bool
    # Known only where the API was asked; events carry no more than the PaymentIntent's id.
    payment_failed: bool = False

    @property
    def is_paid(self) -> bool:
        """Paid, or nothing to pay. Anything else, known or not, is not money."""
        return self.payment_status in ("paid", "no_payment_required")


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund, by its own id."""

    id: str
    payment_intent_id: str
    amount_cents: int
    currency: str
    status: str  # pending, requires_action, succeeded, canceled, failed


@dataclass(frozen=True, slots=True)
class RefundedCharge:
    """A charge of which something was refunded: the sum of its refunds, at that moment."""

    payment_intent_id: str
    refunded_cents: int
    currency: str
    is_full: bool


@dataclass(frozen=True, slots=True)
class Dispute:
    """One dispute, by its own id. The status is one of models.DisputeStatus, or a newer one."""

    id: str
    payment_intent_id: str
    amount_cents: int
    currency: str
    reason: str
    status: str


Reversal = Refund | RefundedCharge | Dispute


def reference_in(stripe_object: Json) -> Reference | None:
    """The reference in an object's metadata, None when it is not (or not readably) ours."""
    metadata = stripe_object.get("metadata")
    if not isinstance(metadata, dict):
        return None
    user_id, conversation_id = metadata.get("user_id"), metadata.get("conversation_id")
    if not (_is_id(user_id) and _is_id(conversation_id)):
        return None
    tier = str(metadata.get("tier") or DEFAULT_TIER)[:64]
    return Reference(int(str(user_id)), int(str(conversation_id)), tier)


def checkout_session(stripe_object: Json) -> CheckoutSession | None:
    """The session in a payment-mode Checkout Session object, None when it is not ours.

    Raises ValueError when it is ours but its id or amount cannot be what Stripe sends.
    """
    reference = reference_in(stripe_object)
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
        livemode=bool(stripe_object.get("livemode")),
        payment_failed=_payment_failed(stripe_object.get("payment_intent")),
    )


def refund(stripe_object: Json) -> Refund | None:
    """The refund, None when it is not of a PaymentIntent: ours all are. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    if payment_intent is None:
        return None
    return Refund(
        id=_object_id(stripe_object),
        payment_intent_id=payment_intent,
        amount_cents=_amount(stripe_object, "amount"),
        currency=_currency(stripe_object),
        status=str(stripe_object.get("status") or "")[:32],
    )


def refunded_charge(stripe_object: Json) -> RefundedCharge | None:
    """The charge, None when it is not of a PaymentIntent. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    if payment_intent is None:
        return None
    return RefundedCharge(
        payment_intent_id=payment_intent,
        refunded_cents=_amount(stripe_object, "amount_refunded"),
        currency=_currency(stripe_object),
        is_full=stripe_object.get("refunded") is True,
    )


def dispute(stripe_object: Json) -> Dispute | None:
    """The dispute, None when it is not over a PaymentIntent. Raises ValueError."""
    payment_intent = payment_intent_id(stripe_object)
    if payment_intent is None:
        return None
    return Dispute(
        id=_object_id(stripe_object),
        payment_intent_id=payment_intent,
        amount_cents=_amount(stripe_object, "amount"),
        currency=_currency(stripe_object),
        reason=str(stripe_object.get("reason") or "")[:64],
        status=str(stripe_object.get("status") or "")[:32],
    )


# The events that tell of money going back, and what reads their object.
REVERSAL_PARSERS: Mapping[str, Callable[[Json], Reversal | None]] = {
    "charge.refunded": refunded_charge,
    "refund.created": refund,
    "refund.updated": refund,
    "refund.failed": refund,
    # The name of refund.updated on older endpoints.
    "charge.refund.updated": refund,
    "charge.dispute.created": dispute,
    "charge.dispute.updated": dispute,
    "charge.dispute.closed": dispute,
    "charge.dispute.funds_withdrawn": dispute,
    "charge.dispute.funds_reinstated": dispute,
}


def payment_intent_id(stripe_object: Json) -> str | None:
    """The PaymentIntent an object is or points to, be it expanded or not."""
    if stripe_object.get("object") == "payment_intent":
        found = stripe_object.get("id")
    else:
        found = stripe_object.get("payment_intent")
    if isinstance(found, dict):
        found = found.get("id")
    return found if isinstance(found, str) and 0 < len(found) <= 255 else None


def decline_reason(payment_intent: Json) -> str:
    """Why a PaymentIntent's last attempt failed: "Your card was declined. (generic_decline)"."""
    error = payment_intent.get("last_payment_error")
    if not isinstance(error, dict):
        return "The payment failed; Stripe gave no reason."
    message = str(error.get("message") or "The payment failed.")
    code = error.get("decline_code") or error.get("code")
    return f"{message} ({code})" if code else message


def _payment_failed(payment_intent: object) -> bool:
    """Whether a PaymentIntent, where it is expanded, has nothing under way any more."""
    if not isinstance(payment_intent, dict):
        return False
    return payment_intent.get("status") in ("requires_payment_method", "canceled")


def _object_id(stripe_object: Json) -> str:
    found = stripe_object.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= 255:
        raise ValueError(f"The {stripe_object.get('object')} has no id.")
    return found


def _amount(stripe_object: Json, name: str) -> int:
    amount = stripe_object.get(name) or 0
    if not isinstance(amount, int) or amount < 0:
        raise ValueError(f"The {stripe_object.get('object')} has no readable {name}.")
    return amount


def _currency(stripe_object: Json) -> str:
    return str(stripe_object.get("currency") or "usd").lower()[:3]


def _is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and _ID.fullmatch(str(value)) is not None
