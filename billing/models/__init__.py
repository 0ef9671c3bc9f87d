"""The models of billing: links, orders, refunds, disputes, and the event log."""

from billing.models.checkout import CheckoutSettings
from billing.models.events import (
    CHARGE_TYPES,
    HELD_OF_CHARGE,
    HELD_OF_SESSION,
    IGNORE_UNMATCHED_AFTER,
    MAX_ATTEMPTS,
    PAID_TYPES,
    SETTLED,
    STUCK_AFTER,
    EventStatus,
    StripeEvent,
    StripeEventQuerySet,
)
from billing.models.imported import ImportedPayment
from billing.models.links import RECORDED_SINCE, CheckoutLink, recorded_since
from billing.models.orders import Order, OrderQuerySet, OrderState, OrderStatus, SessionState
from billing.models.reversals import OPEN_DISPUTE, TO_ANSWER, Dispute, DisputeStatus, Refund

__all__ = [
    "CHARGE_TYPES",
    "HELD_OF_CHARGE",
    "HELD_OF_SESSION",
    "IGNORE_UNMATCHED_AFTER",
    "MAX_ATTEMPTS",
    "OPEN_DISPUTE",
    "PAID_TYPES",
    "RECORDED_SINCE",
    "SETTLED",
    "STUCK_AFTER",
    "TO_ANSWER",
    "CheckoutLink",
    "CheckoutSettings",
    "Dispute",
    "DisputeStatus",
    "EventStatus",
    "ImportedPayment",
    "Order",
    "OrderQuerySet",
    "OrderState",
    "OrderStatus",
    "Refund",
    "SessionState",
    "StripeEvent",
    "StripeEventQuerySet",
    "recorded_since",
]
