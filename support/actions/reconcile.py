"""The staff action that compares an order or a conversation with Stripe."""

from __future__ import annotations

from typing import TypeVar

from billing import checkout
from billing.models import Order
from billing.stripe import client
from conversations.models import Conversation
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction

Payable = TypeVar("Payable", Order, Conversation)


class Reconcile(StaffAction[Payable]):
    """What `manage.py reconcile_orders` does, for one Checkout Session."""

    kind = "reconcile"
    label = "Reconcile…"
    done_label = "reconciled with Stripe"
    permission_label = "Can reconcile with Stripe"
    roles = ("support", "finance")

    def run(self, action: SupportAction) -> str:
        try:
            state = checkout.reconcile(self.subject.stripe_session_id or "")
        except client.StripeFailed:
            raise ActionRefused(
                "Stripe did not give a usable answer. Nothing was changed."
            ) from None
        return f"Reconciled: {state}."


class ReconcileOrder(Reconcile[Order]):
    model = Order
    explanation = (
        "Retrieves the Checkout Session from Stripe and updates the order, its conversation and "
        "its key. Does nothing when they agree."
    )
    recorded = ("status", "grant_id", "is_duplicate", "paid_at")


class ReconcileConversation(Reconcile[Conversation]):
    model = Conversation
    explanation = (
        "Retrieves the conversation's newest Checkout Session from Stripe: a payment that Stripe "
        "has and we have not is recorded, with its key."
    )
    recorded = ("payment_status",)

    def unavailable_reason(self) -> str:
        return "" if self.subject.stripe_session_id else "It has no payment link yet."
