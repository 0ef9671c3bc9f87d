"""The staff action on an order that needs a review: clear it."""

from __future__ import annotations

from django.utils import timezone

from billing.models import Order
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction


class ClearReview(StaffAction[Order]):
    kind = "clear_review"
    model = Order
    label = "Clear review…"
    done_label = "review cleared"
    permission_label = "Can clear the review of an order"
    roles = ("support", "finance")
    explanation = (
        "The payment is in order: takes it off the list of orders to review. Nothing else changes. "
        "If it is not in order, refund it instead."
    )
    recorded = ("needs_review",)

    def unavailable_reason(self) -> str:
        return "" if self.subject.needs_review else "It needs no review."

    def run(self, action: SupportAction) -> str:
        flagged = Order.objects.filter(pk=self.subject.pk, needs_review=True)
        if not flagged.update(needs_review=False, updated_at=timezone.now()):
            raise ActionRefused("Somebody has cleared it meanwhile.")
        return f"{self.subject} needs no review any more."
