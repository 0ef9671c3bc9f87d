"""Handle stored events again: select them, iterate over them, retry each.

Iteration is by primary key, a page at a time: memory use is constant, no transaction spans more
than one event, and an interrupted run can continue after its last id.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from billing.events import log
from billing.models import (
    IGNORE_UNMATCHED_AFTER,
    MAX_ATTEMPTS,
    EventStatus,
    ImportedPayment,
    Order,
    StripeEvent,
    StripeEventQuerySet,
)
from billing.stripe import objects

PAGE_SIZE = 1000
# A received event is being handled, unless its process died.
ABANDONED_AFTER = timedelta(minutes=1)
LOCKED = "locked by another process"


def iter_by_pk(events: StripeEventQuerySet, *, after: int = 0) -> Iterator[tuple[int, str]]:
    """(primary key, event id) of each event, in the order in which they were received."""
    while True:
        page = events.filter(pk__gt=after).order_by("pk").values_list("pk", "event_id")
        rows = list(page[:PAGE_SIZE])
        yield from rows
        if len(rows) < PAGE_SIZE:
            return
        after = rows[-1][0]


def retry(event_id: str, *, force: bool = False) -> str:
    """Handle a stored event and return its status, or LOCKED. Never waits for a lock."""
    try:
        return str(log.process(event_id, force=force, skip_locked=True).status)
    except log.EventLocked:
        return LOCKED
    except log.ProcessingFailed:
        return str(EventStatus.FAILED)  # the error is logged and on the row


def due_for_retry() -> StripeEventQuerySet:
    """The events to handle again now.

    These are failed events whose pause is over, received events whose process died, refunds and
    disputes that were unmatched for so long that they are not ours, and those that were locked
    while their order was recorded.
    """
    now = timezone.now()
    failed = Q(status=EventStatus.FAILED, parked_at=None)
    failed &= Q(next_attempt_at__lte=now) | Q(next_attempt_at=None)
    abandoned = Q(status=EventStatus.RECEIVED, created_at__lte=now - ABANDONED_AFTER)
    intent = OuterRef("payment_intent_id")
    same_payment = Order.objects.filter(stripe_payment_intent_id=intent)
    imported = ImportedPayment.objects.filter(stripe_payment_intent_id=intent)
    not_ours = Q(
        ~Exists(same_payment),
        status=EventStatus.UNMATCHED,
        type__in=objects.REVERSAL_PARSERS,
        created_at__lte=now - IGNORE_UNMATCHED_AFTER,
    )
    missed = Q(
        Exists(same_payment) | Exists(imported),
        status__in=(EventStatus.UNMATCHED, EventStatus.IGNORED),
        type__in=objects.REVERSAL_PARSERS,
        attempts__lt=MAX_ATTEMPTS,  # it may belong to another order
    )
    return StripeEvent.objects.filter(failed | abandoned | not_ours | missed)
