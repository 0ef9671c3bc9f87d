"""What payflow reads of Stripe's objects, and nothing else of them.

The one place that knows their field names. Input is plain JSON, from an event or from the API.
"""

from __future__ import annotations

import re
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

    @property
    def money_is_there(self) -> bool:
        """Paid, or nothing to pay. Anything else, known or not, is not money."""
        return self.payment_status in ("paid", "no_payment_required")


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
    session_id, amount = stripe_object.get("id"), stripe_object.get("amount_total") or 0
    if not isinstance(session_id, str) or not 0 < len(session_id) <= 255:
        raise ValueError("The Checkout Session has no id.")
    if not isinstance(amount, int) or amount < 0:
        raise ValueError(f"The Checkout Session {session_id} has no readable amount_total.")
    return CheckoutSession(
        id=session_id,
        reference=reference,
        status=str(stripe_object.get("status") or ""),
        payment_status=str(stripe_object.get("payment_status") or ""),
        payment_intent_id=payment_intent_id(stripe_object),
        amount_cents=amount,
        currency=str(stripe_object.get("currency") or "usd").lower()[:3],
        livemode=bool(stripe_object.get("livemode")),
    )


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


def _is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and _ID.fullmatch(str(value)) is not None
