"""Handling stored events again: which ones, and one after the other.

Events are walked by primary key, a page at a time: memory stays flat however many there are, no
transaction spans more than one event, and a run that was stopped goes on after its last id.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from billing.events import log
from billing.management.progress import FAILED
from billing.models import (
    IGNORE_UNMATCHED_AFTER,
    EventStatus,
    Order,
    StripeEvent,
    StripeEventQuerySet,
)
from billing.stripe import objects

PAGE = 1000
# A received event is somebody's work in progress, unless that somebody died.
ABANDONED_AFTER = timedelta(minutes=1)
HELD = "held by another process"


def walk(events: StripeEventQuerySet, *, after: int = 0) -> Iterator[tuple[int, str]]:
    """(primary key, event id) of each, in the order in which they arrived."""
    while True:
        page = events.filter(pk__gt=after).order_by("pk").values_list("pk", "event_id")[:PAGE]
        rows = list(page)
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def again(event_id: str, *, force: bool = False) -> str:
    """Handle a stored event; what came of it, in a word. Never waits for who works on it now."""
    try:
        return str(log.process(event_id, force=force, skip_locked=True).status)
    except log.EventLocked:
        return HELD
    except log.ProcessingFailed:
        return FAILED  # logged, and on the event's row


def due() -> StripeEventQuerySet:
    """What we have to try again by ourselves, now.

    Failed events whose pause is over, received ones that nobody works on any more, refunds and
    disputes that have waited long enough to be another product's, and those whose order was
    recorded just while somebody held their row.
    """
    now = timezone.now()
    failed = Q(status=EventStatus.FAILED, parked_at=None)
    failed &= Q(next_attempt_at__lte=now) | Q(next_attempt_at=None)
    abandoned = Q(status=EventStatus.RECEIVED, created_at__lte=now - ABANDONED_AFTER)
    foreign = Q(
        status=EventStatus.UNMATCHED,
        type__in=objects.REVERSAL_PARSERS,
        created_at__lte=now - IGNORE_UNMATCHED_AFTER,
    )
    same_payment = Order.objects.filter(stripe_payment_intent_id=OuterRef("payment_intent_id"))
    missed = Q(
        Exists(same_payment),
        status__in=(EventStatus.UNMATCHED, EventStatus.IGNORED),
        type__in=objects.REVERSAL_PARSERS,
    )
    return StripeEvent.objects.filter(failed | abandoned | foreign | missed)
