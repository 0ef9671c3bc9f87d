"""Refunds and disputes: resolve out-of-order updates into the order's state.

Each refund and dispute has its own row, and the order's columns are computed from all of its rows.
The result does not depend on the order in which updates arrive, nor on repeats. One that arrives
before its order waits in the event log; billing.fulfilment applies it. Grants and
conversations are changed by billing.fulfilment only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import timezone

from billing import notices
from billing.models import OPEN_DISPUTE, Dispute, DisputeStatus, Order, Refund, StripeEvent
from billing.stripe import objects
from notifications import money

# A refund moves to the right only; the bank may return one that had succeeded.
REFUND_ORDER = ("pending", "requires_action", "succeeded", "canceled", "failed")
FAILED_REFUNDS = ("canceled", "failed")
COUNTED_REFUNDS = ("pending", "requires_action", "succeeded")

# A dispute moves to the right too until it is decided: an inquiry may become a dispute.
DISPUTE_ORDER = (
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.WARNING_UNDER_REVIEW,
    DisputeStatus.WARNING_CLOSED,
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.UNDER_REVIEW,
)
# A decision can be appealed and decided again, so only Stripe's time orders these.
DECISIONS_AND_APPEALS = (
    DisputeStatus.PREVENTED,
    DisputeStatus.WON,
    DisputeStatus.LOST,
    DisputeStatus.APPEAL_NEEDS_RESPONSE,
    DisputeStatus.APPEAL_UNDER_REVIEW,
)
UNKNOWN = -1
_ANY_TIME = datetime.min.replace(tzinfo=UTC)
_EPOCH = datetime.fromtimestamp(0, UTC)

DISPUTE_SEVERITY = (
    DisputeStatus.LOST,
    *OPEN_DISPUTE,
    DisputeStatus.WON,
    DisputeStatus.PREVENTED,
    DisputeStatus.WARNING_UNDER_REVIEW,
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.WARNING_CLOSED,
)


class OfAnotherOrder(Exception):
    """The refund or dispute was recorded for another order. The text says for which."""


@dataclass(frozen=True, slots=True)
class EventPosition:
    """The position of an event: Stripe's time in whole seconds, then its row in the event log."""

    created_at: datetime
    event_id: int

    @classmethod
    def of_event(cls, event: StripeEvent) -> EventPosition:
        return cls(objects.time_of(event.payload, "created") or _EPOCH, event.pk)


def record(order: Order, update: objects.Reversal, position: EventPosition) -> str:
    """Record a refund or dispute update and recompute the order's columns; return a summary.

    The caller has locked the order and saves it. Raises OfAnotherOrder and changes nothing.
    """
    if isinstance(update, objects.DisputeUpdate):
        text = _record_dispute(order, update, position)
        order.dispute_status = most_severe(order.disputes.values_list("status", flat=True))
        notices.disputed(order, Dispute.objects.get(stripe_dispute_id=update.id), update.status)
        return text
    if isinstance(update, objects.FraudWarning):
        if order.fraud_warning_at is None or position.created_at < order.fraud_warning_at:
            order.fraud_warning_at = position.created_at
        return f"its card's issuer warns of fraud ({update.id})"
    if isinstance(update, objects.RefundUpdate):
        text = _record_refund(order, update)
    else:
        text = _record_charge(order, update)
    sum_refunds(order)
    if isinstance(update, objects.RefundUpdate):
        notices.refunded(order, update, has_failed=update.status in FAILED_REFUNDS)
    refunded = money.plain(order.refunded_cents, order.currency)
    return f"{text}, {refunded} of {money.show(order.amount_cents, order.currency)} refunded"


def sum_refunds(order: Order) -> None:
    """Compute the order's refund columns from its refunds and the sum on its charge.

    The charge's sum stands in for refunds that were not reported yet. It includes refunds that
    failed later: these are subtracted, so that it adds nothing once every refund is known.
    """
    refunds = list(order.refunds.filter(currency=order.currency))
    counted = sum(refund.amount_cents for refund in refunds if refund.status in COUNTED_REFUNDS)
    failed = sum(refund.amount_cents for refund in refunds if refund.status in FAILED_REFUNDS)
    order.refunded_cents = max(counted, order.charge_refunded_cents - failed, 0)
    in_full = order.refunded_cents > 0 and order.refunded_cents >= order.amount_cents
    order.refunded_at = (order.refunded_at or timezone.now()) if in_full else None


def refund_precedence(status: str) -> int:
    """Higher is later in a refund's life; an unknown status never replaces a known one."""
    return REFUND_ORDER.index(status) if status in REFUND_ORDER else UNKNOWN


def dispute_precedence(status: str, position: EventPosition) -> tuple[int, datetime, int]:
    """Higher is later in a dispute's life.

    Events carry whole seconds only, so time decides among decisions and appeals alone, and within
    one second the event that was recorded last does.
    """
    if status in DISPUTE_ORDER:
        return (0, _ANY_TIME, DISPUTE_ORDER.index(DisputeStatus(status)))
    if status in DECISIONS_AND_APPEALS:
        return (1, position.created_at, position.event_id)
    return (UNKNOWN, position.created_at, position.event_id)


def most_severe(statuses: Iterable[str]) -> str:
    """The dispute status that decides whether the order's grant works; "" without disputes."""
    found = set(statuses)
    known = (str(status) for status in DISPUTE_SEVERITY if status in found)
    return next(known, max(found, default=""))


def _record_refund(order: Order, update: objects.RefundUpdate) -> str:
    refund = Refund.objects.filter(stripe_refund_id=update.id).first() or Refund(
        order=order, stripe_refund_id=update.id
    )
    if refund.order_id != order.pk:
        raise OfAnotherOrder(f"Refund {update.id} belongs to order {refund.order_id}.")
    if refund.pk and refund_precedence(update.status) <= refund_precedence(refund.status):
        return f"refund {update.id} is already {refund.status}"
    refund.amount_cents = update.amount_cents
    refund.currency = update.currency
    refund.status = update.status
    refund.save()
    amount = money.show(update.amount_cents, update.currency)
    return f"refund {update.id} of {amount} is {update.status}"


def _record_charge(order: Order, charge: objects.RefundedCharge) -> str:
    if charge.currency != order.currency and not charge.is_full:
        return f"the charge is in {charge.currency}: its sum does not count"
    refunded = charge.refunded_cents
    if charge.is_full:
        refunded = max(refunded, order.amount_cents)
    order.charge_refunded_cents = max(order.charge_refunded_cents, refunded)
    return f"the charge has {money.show(charge.refunded_cents, charge.currency)} refunded"


def _record_dispute(order: Order, update: objects.DisputeUpdate, position: EventPosition) -> str:
    dispute = Dispute.objects.filter(stripe_dispute_id=update.id).first() or Dispute(
        order=order, stripe_dispute_id=update.id
    )
    if dispute.order_id != order.pk:
        raise OfAnotherOrder(f"Dispute {update.id} belongs to order {dispute.order_id}.")
    if dispute.pk:
        recorded = EventPosition(dispute.last_event_at, dispute.last_event_id)
        precedence = dispute_precedence(update.status, position)
        if precedence <= dispute_precedence(dispute.status, recorded):
            return f"dispute {update.id} is already {dispute.status}"
    dispute.amount_cents = update.amount_cents
    dispute.currency = update.currency
    dispute.reason = update.reason
    dispute.status = update.status
    dispute.last_event_at, dispute.last_event_id = position.created_at, position.event_id
    dispute.save()
    return f"dispute {update.id} is {update.status}"
