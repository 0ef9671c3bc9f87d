"""Fetch the events that Stripe could not deliver.

Stripe keeps events for 30 days and lists those that our endpoint did not accept. They are read from
the oldest on, and each is stored and handled like a delivery; the next run starts after the last.
"""

from __future__ import annotations

import logging
from collections.abc import Generator

from django.utils import timezone

from billing.events import log, replay
from billing.events.handlers import HANDLERS, PAYMENT_FAILED_ALIAS
from billing.models import StripeEvent
from billing.stripe import client

logger = logging.getLogger(__name__)

# Stripe rejects a filter by a type that it does not know.
EVENT_TYPES = sorted(set(HANDLERS) - {PAYMENT_FAILED_ALIAS})
MALFORMED = "malformed"


def fetch(*, from_start: bool = False) -> Generator[str, None, None]:
    """Store and handle the undelivered events; yield the resulting status of each.

    Raises client.StripeFailed; the events handled before stay handled.
    """
    last = None if from_start else _last_fetched()
    try:
        for event in client.undelivered_events(EVENT_TYPES, after=last):
            yield _store_and_handle(event)
    except client.CursorGone:
        # It is older than 30 days, and so is everything before it.
        yield from fetch(from_start=True)


def _last_fetched() -> str | None:
    fetched = StripeEvent.objects.filter(fetched_at__isnull=False)
    return fetched.order_by("fetched_at", "pk").values_list("event_id", flat=True).last()


def _store_and_handle(event: client.Json) -> str:
    try:
        log.record(event)
    except log.MalformedEvent as reason:
        logger.error("Event %s cannot be stored: %s", event.get("id"), reason)  # noqa: TRY400
        return MALFORMED
    event_id = str(event["id"])
    # Committed before it is handled: if that fails, process_events retries it; and a transaction
    # that has locked a refund's event must go on to lock its payment.
    StripeEvent.objects.filter(event_id=event_id).update(fetched_at=timezone.now())
    return replay.retry(event_id)
