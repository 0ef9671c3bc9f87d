"""Refunds and disputes of imported payments: record what they make of the payment.

There is no order to compute from: a full refund counts, and a later failure of it is undone by
Stripe's time. Grants are changed by billing.fulfilment.
"""

from __future__ import annotations

from datetime import datetime

from billing import reversals
from billing.models import OPEN_DISPUTE, DisputeStatus, ImportedPayment
from billing.stripe import objects


def locked(payment_intent_id: str) -> ImportedPayment | None:
    """The imported payment, locked until the transaction ends."""
    found = ImportedPayment.objects.select_for_update(no_key=True)
    return found.filter(stripe_payment_intent_id=payment_intent_id).first()


def record(
    payment: ImportedPayment, update: objects.Reversal, position: reversals.EventPosition
) -> str:
    """Record a refund or a dispute, and save the payment; return a summary."""
    if isinstance(update, objects.DisputeUpdate):
        text = _record_dispute(payment, update, position)
    elif isinstance(update, objects.RefundUpdate):
        failed = update.status in reversals.FAILED_REFUNDS
        text = _set_refunded(payment, position, refunded=False) if failed else "a refund"
    elif isinstance(update, objects.FraudWarning):
        return "its card's issuer warns of fraud"
    elif update.is_full:
        text = _set_refunded(payment, position, refunded=True)
    else:
        text = "refunded in part"
    payment.save()
    return text


def is_revoked(payment: ImportedPayment) -> bool:
    return payment.refunded_at is not None or payment.dispute_status == DisputeStatus.LOST


def is_suspended(payment: ImportedPayment) -> bool:
    return payment.dispute_status in OPEN_DISPUTE


def _set_refunded(
    payment: ImportedPayment, position: reversals.EventPosition, *, refunded: bool
) -> str:
    """The later of Stripe's events decides; of two in one second, a failure does."""
    at, last = position.created_at, payment.refund_event_at
    if last is not None and (at < last or (at == last and refunded)):
        return "an older refund"
    payment.refund_event_at = at
    payment.refunded_at = at if refunded else None
    return "fully refunded" if refunded else "a refund failed"


def _record_dispute(
    payment: ImportedPayment, update: objects.DisputeUpdate, position: reversals.EventPosition
) -> str:
    recorded = payment.disputes.get(update.id)
    if recorded:
        status, at, event_id = recorded
        earlier = reversals.EventPosition(datetime.fromisoformat(at), event_id)
        precedence = reversals.dispute_precedence(status, earlier)
        if reversals.dispute_precedence(update.status, position) <= precedence:
            return f"dispute {update.id} is already {status}"
    entry = [update.status, position.created_at.isoformat(), position.event_id]
    payment.disputes[update.id] = entry
    statuses = (status for status, _, _ in payment.disputes.values())
    payment.dispute_status = reversals.most_severe(statuses)
    return f"dispute {update.id} is {update.status}"
