"""What payments tell: rows of the outbox, each named by the ids of Stripe's objects and events.

A replay or a rebuild computes the same names, so it tells nothing again.
"""

from __future__ import annotations

from typing import Any

from billing.models import OPEN_DISPUTE, Dispute, DisputeStatus, Order
from billing.stripe.objects import RefundUpdate
from notifications import outbox

BY_PAYMENT = "payment"
_DECISIONS = (DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.PREVENTED)


def order_data(
    *, session_id: str, amount_cents: int, currency: str, tier: str, order_id: int | None = None
) -> dict[str, Any]:
    """What each row about an order holds. The fast path adds the order's id."""
    data = {
        "sessionId": session_id,
        "amountCents": amount_cents,
        "currency": currency,
        "tier": tier,
    }
    return data if order_id is None else {**data, "orderId": order_id}


def paid(order: Order) -> None:
    """It pays for its conversation, or is a duplicate."""
    kind = "order.duplicate" if order.is_duplicate else "order.completed"
    _record(kind, order.stripe_session_id, order)


def pending(order: Order) -> None:
    _record("payment.pending", order.stripe_session_id, order)


def failed(order: Order) -> None:
    _record("order.failed", order.stripe_session_id, order)


def declined(conversation_id: int, user_id: int, payment_intent_id: str) -> None:
    """An attempt failed, and the conversation with it."""
    outbox.record(
        "payment.declined", payment_intent_id, user_id=user_id, conversation_id=conversation_id
    )


def refunded(order: Order, refund: RefundUpdate, *, has_failed: bool) -> None:
    """Told once when the refund is known, and once if the bank returned it."""
    facts = {
        "refundId": refund.id,
        "refundCents": refund.amount_cents,
        "refundCurrency": refund.currency,
        "refundedCents": order.refunded_cents,
        "isFull": order.refunded_at is not None,
        "isDuplicate": order.is_duplicate,
    }
    _record("order.refunded", refund.id, order, facts, mail=not has_failed)
    if has_failed:
        _record("order.refund_failed", refund.id, order, facts)


def disputed(order: Order, dispute: Dispute, reported: str) -> None:
    """Told once when it is opened, and once for each decision; an inquiry is not told.

    `reported` is the status of the event, which may be older than the dispute's.
    """
    facts: dict[str, Any] = {
        "disputeId": dispute.stripe_dispute_id,
        "disputeReason": dispute.reason,
    }
    facts |= {"disputedCents": dispute.amount_cents, "disputedCurrency": dispute.currency}
    name = dispute.stripe_dispute_id
    if not reported.startswith("warning_"):
        is_open = dispute.status in OPEN_DISPUTE
        _record("dispute.opened", name, order, facts, mail=is_open)
    if dispute.status in _DECISIONS:
        outcome = {"outcome": dispute.status}
        _record("dispute.closed", f"{name}/{dispute.status}", order, facts | outcome)


def key_issued(order: Order, key_id: int) -> None:
    _record("key.issued", order.stripe_session_id, order, key_data(key_id), mail=False)


def key_data(*key_ids: int) -> dict[str, Any]:
    return {"keyIds": list(key_ids), "by": BY_PAYMENT}


def grant_changed(order: Order, state: str, key_ids: list[int], cause: str) -> None:
    """A payment suspended, revoked or restored the keys of its grant."""
    cause = f"{cause}/{order.stripe_session_id}"
    _record(f"key.{state}", cause, order, key_data(*key_ids), mail=False)


def imported_grant_changed(user_id: int, state: str, key_ids: list[int], cause: str) -> None:
    """As above, for a payment that has no order."""
    data = key_data(*key_ids)
    outbox.record(f"key.{state}", cause, user_id=user_id, data=data, mail=False)


def _record(
    kind: str, cause: str, order: Order, facts: dict[str, Any] | None = None, *, mail: bool = True
) -> None:
    data = order_data(
        session_id=order.stripe_session_id,
        amount_cents=order.amount_cents,
        currency=order.currency,
        tier=order.tier,
        order_id=order.pk,
    )
    outbox.record(
        kind,
        cause,
        user_id=order.user_id,
        conversation_id=order.conversation_id,
        data=data | (facts or {}),
        mail=mail,
    )
