"""Money that goes back: which of the things Stripe says about it counts.

Refunds and disputes are kept one by one under Stripe's ids, and what they mean for an order is
computed anew from all of them. The result depends on what was said, not on the order it arrived
in, nor on how often. Nothing here touches keys or conversations: that is billing.fulfilment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import timezone

from billing.models import OPEN_DISPUTE, Dispute, DisputeStatus, Order, Refund, StripeEvent
from billing.stripe import objects

# A refund only ever moves to the right; a bank may send back what had succeeded.
REFUND_ORDER = ("pending", "requires_action", "succeeded", "canceled", "failed")
FAILED_REFUNDS = ("canceled", "failed")
COUNTED_REFUNDS = ("pending", "requires_action", "succeeded")

# So does a dispute up to its decision: an inquiry may become a dispute, never the reverse.
DISPUTE_ORDER = (
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.WARNING_UNDER_REVIEW,
    DisputeStatus.WARNING_CLOSED,
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.UNDER_REVIEW,
)
# A decision may be appealed and decided again, in a circle: only the clock can tell.
DECISIONS_AND_APPEALS = (
    DisputeStatus.PREVENTED,
    DisputeStatus.WON,
    DisputeStatus.LOST,
    DisputeStatus.APPEAL_NEEDS_RESPONSE,
    DisputeStatus.APPEAL_UNDER_REVIEW,
)
UNKNOWN = -1

DISPUTE_SEVERITY = (
    DisputeStatus.LOST,
    *OPEN_DISPUTE,
    DisputeStatus.WON,
    DisputeStatus.PREVENTED,
    DisputeStatus.WARNING_UNDER_REVIEW,
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.WARNING_CLOSED,
)


@dataclass(frozen=True, slots=True)
class EventPosition:
    """When Stripe said something, to the second, and its place in our ledger."""

    at: datetime
    by: int

    @classmethod
    def of_event(cls, event: StripeEvent) -> EventPosition:
        created = event.payload.get("created")
        seconds = created if isinstance(created, int) and 0 < created < 2**33 else 0
        return cls(datetime.fromtimestamp(seconds, UTC), event.pk)


def record(order: Order, said: objects.Reversal, told: EventPosition) -> str:
    """Note one thing Stripe said about the order, which is locked and will be saved by the caller.

    Brings the order's own columns up to all that is known. Returns what was noted, in words.
    """
    if isinstance(said, objects.Dispute):
        text = _record_dispute(order, said, told)
        order.dispute_status = most_severe(order.disputes.values_list("status", flat=True))
        return text
    if isinstance(said, objects.Refund):
        text = _record_refund(order, said)
    else:
        text = _record_charge(order, said)
    _sum_up_refunds(order)
    return f"{text}, {order.refunded_cents} of {order.amount_cents} {order.currency} went back"


def refund_precedence(status: str) -> int:
    """Higher is later in a refund's life; an unknown status never replaces a known one."""
    return REFUND_ORDER.index(status) if status in REFUND_ORDER else UNKNOWN


def dispute_precedence(status: str, told: EventPosition) -> tuple[int, float, int]:
    """Higher is later in a dispute's life.

    Events carry whole seconds only, so the clock decides among decisions and appeals alone, and
    within one second the event that reached the ledger last does.
    """
    if status in DISPUTE_ORDER:
        return (0, 0.0, DISPUTE_ORDER.index(DisputeStatus(status)))
    if status in DECISIONS_AND_APPEALS:
        return (1, told.at.timestamp(), told.by)
    return (UNKNOWN, told.at.timestamp(), told.by)


def most_severe(statuses: Iterable[str]) -> str:
    """The status, among those of an order's disputes, that decides about its key."""
    told = set(statuses)
    return next((str(grave) for grave in DISPUTE_SEVERITY if grave in told), max(told, default=""))


def _record_refund(order: Order, said: objects.Refund) -> str:
    refund = order.refunds.filter(stripe_refund_id=said.id).first() or Refund(
        order=order, stripe_refund_id=said.id
    )
    if refund.pk and refund_precedence(said.status) <= refund_precedence(refund.status):
        return f"refund {said.id} is {refund.status} already"
    refund.amount_cents = said.amount_cents
    refund.currency = said.currency
    refund.status = said.status
    refund.save()
    return f"refund {said.id} of {said.amount_cents} {said.currency} is {said.status}"


def _record_charge(order: Order, said: objects.RefundedCharge) -> str:
    if said.currency != order.currency and not said.is_full:
        return f"the charge is in {said.currency}, and its sum says nothing here"
    refunded = max(said.refunded_cents, order.amount_cents) if said.is_full else said.refunded_cents
    order.charge_refunded_cents = max(order.charge_refunded_cents, refunded)
    return f"the charge was seen with {said.refunded_cents} refunded"


def _sum_up_refunds(order: Order) -> None:
    """Refunds count by id. The charge's own sum counts where a refund has not been told yet.

    That sum is of one moment, and includes refunds that came back later: those are taken off, so
    once every refund is known it adds nothing.
    """
    refunds = list(order.refunds.filter(currency=order.currency))
    gone = sum(one.amount_cents for one in refunds if one.status in COUNTED_REFUNDS)
    came_back = sum(one.amount_cents for one in refunds if one.status in FAILED_REFUNDS)
    order.refunded_cents = max(gone, order.charge_refunded_cents - came_back, 0)
    in_full = order.refunded_cents > 0 and order.refunded_cents >= order.amount_cents
    order.refunded_at = (order.refunded_at or timezone.now()) if in_full else None


def _record_dispute(order: Order, said: objects.Dispute, told: EventPosition) -> str:
    dispute = order.disputes.filter(stripe_dispute_id=said.id).first() or Dispute(
        order=order, stripe_dispute_id=said.id
    )
    if dispute.pk:
        before = dispute_precedence(
            dispute.status, EventPosition(dispute.last_event_at, dispute.last_event_id)
        )
        if dispute_precedence(said.status, told) <= before:
            return f"dispute {said.id} is {dispute.status} already"
    dispute.amount_cents = said.amount_cents
    dispute.currency = said.currency
    dispute.reason = said.reason
    dispute.status = said.status
    dispute.last_event_at, dispute.last_event_id = told.at, told.by
    dispute.save()
    return f"dispute {said.id} is {said.status}"
