"""Staff mark an order to refund, or an event, as handled: it leaves the lists of `open_work`."""

from __future__ import annotations

from abc import abstractmethod

from billing.models import Order, StripeEvent
from support.actions.base import Row, StaffAction
from support.models import MARK_HANDLED, SupportAction


class MarkHandled(StaffAction[Row]):
    kind = MARK_HANDLED
    label = "Mark as handled…"
    done_label = "marked as handled"
    permission_label = "Can mark as handled"
    roles = ("support", "finance")

    @abstractmethod
    def is_waiting(self) -> bool:
        """Whether the dashboard lists the row as work to do."""

    def unavailable_reason(self) -> str:
        if not self.is_waiting():
            return "Nothing to do."
        return "It is marked already." if any(map(self.marks, self.past)) else ""

    def run(self, action: SupportAction) -> str:
        """Changes nothing else: the lists read the mark from the audit log."""
        return f"{self.subject} marked as handled."

    def marks(self, action: SupportAction) -> bool:
        return (
            action.kind == MARK_HANDLED
            and action.succeeded is True
            and action.is_about(self.subject)
        )


class MarkOrderHandled(MarkHandled[Order]):
    model = Order
    explanation = "Takes the order off the lists of orders to refund. Nothing else changes."

    def is_waiting(self) -> bool:
        order = self.subject
        is_warned_of = order.fraud_warning_at is not None and not order.dispute_status
        return (order.is_duplicate or is_warned_of) and order.refunded_at is None

    def marks(self, action: SupportAction) -> bool:
        warned_at = self.subject.fraud_warning_at
        return super().marks(action) and (warned_at is None or action.created_at > warned_at)


class MarkEventHandled(MarkHandled[StripeEvent]):
    model = StripeEvent
    explanation = (
        "Takes the event off the list of waiting events. It stays in the event log as it is, and "
        "can still be replayed."
    )

    def is_waiting(self) -> bool:
        return not self.subject.is_settled
