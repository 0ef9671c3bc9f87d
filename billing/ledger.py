"""The ledger: an event is stored before it is acted on, and settled in the act's own transaction.

Deduplication is by *settled*, not by *seen*: an event whose handling failed is handled again when
it comes again, one that was settled does nothing.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from billing import facts, handlers
from billing.models import EventStatus, StripeEvent

logger = logging.getLogger(__name__)

Json = dict[str, Any]

ERROR_LENGTH = 2000

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # an escaped NUL, not an escaped backslash and u0000


class MalformedEvent(Exception):
    """The text is signed but is not a snapshot event we can store. The text says why."""


class ProcessingFailed(Exception):
    """The handler raised: nothing it did remains, and the event's row says what happened."""


def record(event: Json) -> None:
    """Store a verified event unless it is there already; racing deliveries store it once.

    Raises MalformedEvent.
    """
    _check(event)
    stripe_object = event["data"]["object"]
    row = StripeEvent(
        event_id=event["id"],
        type=event["type"],
        livemode=bool(event.get("livemode")),
        api_version=str(event.get("api_version") or "")[:64],
        payload=event,
        object_id=str(stripe_object.get("id") or "")[:255],
        payment_intent_id=facts.payment_intent_id(stripe_object) or "",
    )
    StripeEvent.objects.bulk_create([row], ignore_conflicts=True)


def process(event_id: str) -> StripeEvent:
    """Handle a stored event once: its effects and its settlement commit together.

    Concurrent calls queue on the row; all but the first find it settled. Raises ProcessingFailed.
    """
    try:
        with transaction.atomic():
            event = StripeEvent.objects.locked().get(event_id=event_id)
            if not event.is_settled:
                outcome = handlers.handle(event)
                event.settle(outcome.status, outcome.text, outcome.conversation_id)
            return event
    except Exception as error:
        _note_failure(event_id, error)
        raise ProcessingFailed(event_id) from error


def _note_failure(event_id: str, error: Exception) -> None:
    """Leave the error on the row, in a transaction of its own that outlives the rollback."""
    logger.error("Event %s was not processed", event_id, exc_info=error)
    try:
        # Another delivery may have settled it meanwhile: that is never undone.
        StripeEvent.objects.unsettled().filter(event_id=event_id).update(
            status=EventStatus.FAILED,
            attempts=F("attempts") + 1,
            last_error=f"{type(error).__name__}: {error}"[:ERROR_LENGTH],
            updated_at=timezone.now(),
        )
    except DatabaseError:
        logger.exception("The failure of event %s could not be recorded", event_id)


def _check(event: Json) -> None:
    if event.get("object") == "v2.core.event":
        raise MalformedEvent("Thin events are not handled: register a snapshot endpoint.")
    if event.get("object", "event") != "event":
        raise MalformedEvent("The body is not a Stripe event.")
    for name, longest in (("id", 255), ("type", 128)):
        value = event.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            raise MalformedEvent(f"The event has no usable {name}.")
    data = event.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
        raise MalformedEvent("The event has no data.object.")
    _check_storable(event)


def _check_storable(event: Json) -> None:
    """PostgreSQL's jsonb holds neither NUL nor half a surrogate pair nor an infinite number."""
    try:
        text = json.dumps(event, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        raise MalformedEvent("The event holds a value that JSON cannot carry.") from None
    if _NUL.search(text):
        raise MalformedEvent("The event holds a NUL character.")
