"""Links to Stripe's dashboard, in the object's mode (live or test)."""

from __future__ import annotations

HOME = "https://dashboard.stripe.com"


def payment(payment_intent_id: str | None, *, livemode: bool) -> str:
    """The page of a payment, "" without one."""
    return f"{_mode(livemode)}/payments/{payment_intent_id}" if payment_intent_id else ""


def event(event_id: str, *, livemode: bool) -> str:
    return f"{_mode(livemode)}/events/{event_id}"


def _mode(livemode: bool) -> str:
    return HOME if livemode else f"{HOME}/test"
