"""Getting from Stripe what it could not deliver.

Stripe keeps events for 30 days and lists those that our endpoint did not accept. They are walked
from the oldest, and each is stored and handled like a delivery; the last one's row is where the
next run starts.
"""

from __future__ import annotations

import logging
from collections.abc import Generator

from django.utils import timezone

from billing.events import log, replay
from billing.events.handlers import HANDLERS
from billing.models import StripeEvent
from billing.stripe import client

logger = logging.getLogger(__name__)

# Stripe does not know the alias, and refuses to filter by it.
KINDS = sorted(set(HANDLERS) - {"payment_intent.failed"})
REFUSED = "refused"


def fetch(*, from_start: bool = False) -> Generator[str, None, None]:
    """Store and handle what was not delivered; yields what came of each, in a word.

    Raises gateway.StripeFailed; what was done by then stays done.
    """
    last = None if from_start else _last_fetched()
    try:
        for event in client.undelivered_events(KINDS, after=last):
            yield _take(event)
    except client.CursorGone:
        # Older than 30 days: so is everything before it.
        yield from fetch(from_start=True)


def _last_fetched() -> str | None:
    fetched = StripeEvent.objects.filter(fetched_at__isnull=False)
    return fetched.order_by("fetched_at", "pk").values_list("event_id", flat=True).last()


def _take(event: client.Json) -> str:
    try:
        log.record(event)
    except log.MalformedEvent as reason:
        logger.error("Event %s cannot be stored: %s", event.get("id"), reason)  # noqa: TRY400
        return REFUSED
    event_id = str(event["id"])
    # Before it is handled: whatever becomes of that, it is in the ledger now and process_events
    # tries it again; and nobody may hold the row of a refund without asking for its payment.
    StripeEvent.objects.filter(event_id=event_id).update(fetched_at=timezone.now())
    return replay.again(event_id)
