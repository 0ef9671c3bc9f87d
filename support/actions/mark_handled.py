"""Staff mark an order or an event as handled: it leaves the lists of `open_work`."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime

from billing.models import TO_ANSWER, DisputeStatus, Order, StripeEvent
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
    explanation = (
        "Takes the order off the lists of orders to refund and of disputes to answer, until "
        "another warning or change is reported. Nothing else changes."
    )

    def is_waiting(self) -> bool:
        order = self.subject
        is_warned_of = order.fraud_warning_at is not None and not order.dispute_status
        is_to_refund = (order.is_duplicate or is_warned_of) and order.refunded_at is None
        return is_to_refund or bool(self._disputes_reported_at())

    def marks(self, action: SupportAction) -> bool:
        reported_at = [self.subject.fraud_warning_at, *self._disputes_reported_at()]
        return super().marks(action) and all(
            at is None or action.created_at > at for at in reported_at
        )

    def _disputes_reported_at(self) -> list[datetime]:
        """When the disputes that wait for an answer were last reported."""
        is_refunded = self.subject.refunded_at is not None
        return [
            dispute.updated_at
            for dispute in self.subject.disputes.all()
            if dispute.status in TO_ANSWER
            and not (is_refunded and dispute.status == DisputeStatus.WARNING_NEEDS_RESPONSE)
        ]


class MarkEventHandled(MarkHandled[StripeEvent]):
    model = StripeEvent
    explanation = (
        "Takes the event off the list of waiting events. It stays in the event log as it is, and "
        "can still be replayed."
    )

    def is_waiting(self) -> bool:
        return not self.subject.is_settled
