"""What waits for staff, as conditions: lists of the desk, cards of the dashboard, and metrics.

Each that somebody must act on has an alert in deploy/prometheus/alerts.yml.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from billing.models import OPEN_DISPUTE, SETTLED, TO_ANSWER, Dispute, DisputeStatus
from notifications.endpoints import DISABLED_BY_STAFF
from support.models import SupportAction

_HANDLED = SupportAction.objects.done().marking_handled()

DUPLICATES_TO_REFUND = Q(
    ~Exists(_HANDLED.filter(order_id=OuterRef("pk"))),
    is_duplicate=True,
    refunded_at__isnull=True,
)
# A refund now is cheaper than the dispute that is likely to follow. A mark before the warning was
# about something else.
FRAUD_WARNINGS = Q(
    ~Exists(_HANDLED.filter(order_id=OuterRef("pk"), created_at__gt=OuterRef("fraud_warning_at"))),
    fraud_warning_at__isnull=False,
    refunded_at__isnull=True,
    dispute_status="",
)
_MARKED = _HANDLED.filter(order_id=OuterRef("order_id"), created_at__gt=OuterRef("updated_at"))
# A refund answers an inquiry, and a mark what was reported before it.
_UNANSWERED = Dispute.objects.filter(
    Q(order__refunded_at__isnull=True) | ~Q(status=DisputeStatus.WARNING_NEEDS_RESPONSE),
    ~Exists(_MARKED),
    status__in=TO_ANSWER,
)
# By the disputes: the status of an order is that of its most severe one, which may hide another.
DISPUTES_TO_ANSWER = ~Q(dispute_status="") & Q(Exists(_UNANSWERED.filter(order_id=OuterRef("pk"))))
# They have no order and no list: Stripe's dashboard has them.
IMPORTED_TO_ANSWER = Q(dispute_status__in=TO_ANSWER)
# In the form of the partial index's condition, or PostgreSQL would not use the index. Those under
# review wait for the bank.
IN_DISPUTE = ~Q(dispute_status="") & Q(dispute_status__in=OPEN_DISPUTE)
ORDERS_TO_REVIEW = Q(needs_review=True)
FAILING_ENDPOINTS = ~Q(disabled_reason=DISABLED_BY_STAFF) & (
    Q(disabled_at__isnull=False) | Q(failing_since__isnull=False)
)
# In the form of the partial index's condition, or PostgreSQL would not use the index.
UNSETTLED = ~Q(status__in=SETTLED)
WAITING_EVENTS = UNSETTLED & Q(~Exists(_HANDLED.filter(event_id=OuterRef("event_id"))))
