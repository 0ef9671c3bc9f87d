"""Labels of an order's and a key's state on the support pages; the most severe state wins."""

from __future__ import annotations

from apikeys.models import ApiKey
from billing.models import DisputeStatus, Order


def order_state(order: Order) -> str:
    if order.is_disputed:
        return "disputed"
    if order.dispute_status == DisputeStatus.LOST:
        return "lost in dispute"
    if order.refunded_at:
        return "refunded"
    if order.refunded_cents:
        return "partly refunded"
    return "duplicate" if order.is_duplicate else str(order.status)


def key_state(key: ApiKey) -> str:
    return f"{key.state.label}, to be revealed" if key.is_revealable else str(key.state.label)
