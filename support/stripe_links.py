"""Links to Stripe's dashboard, in the object's mode (live or test), or to the local Stripe."""

from __future__ import annotations

from django.conf import settings

HOME = "https://dashboard.stripe.com"


def payment(payment_intent_id: str | None, *, livemode: bool) -> str:
    """The page of a payment, "" without one."""
    if not payment_intent_id:
        return ""
    local: str = settings.STRIPE_API_BASE
    return local or f"{_mode(livemode)}/payments/{payment_intent_id}"


def event(event_id: str, *, livemode: bool) -> str:
    local: str = settings.STRIPE_API_BASE
    return local or f"{_mode(livemode)}/events/{event_id}"


def name(*, livemode: bool) -> str:
    """What a link says of where it leads."""
    if settings.STRIPE_API_BASE:
        return "in the local Stripe"
    return "in Stripe" if livemode else "in Stripe (test)"


def _mode(livemode: bool) -> str:
    return HOME if livemode else f"{HOME}/test"
