"""The ledger: an event is stored before it is acted on, and settled in the act's own transaction.

Deduplication is by *settled*, not by *seen*: an event whose handling failed is handled again when
it comes again, one that was settled does nothing.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, transaction

from billing import fast_path, prepared_sql
from billing.events import handlers
from billing.models import StripeEvent
from billing.stripe import objects

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_NUL = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u0000"
)  # an escaped NUL, not an escaped backslash and u0000


_RECORD = """
    INSERT INTO stripe_events
    (event_id, type, livemode, api_version, payload, object_id, payment_intent_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (event_id) DO NOTHING
"""


class MalformedEvent(Exception):
    """The text is signed but is not a snapshot event we can store. The text says why."""


class EventLocked(Exception):
    """Another process has the event right now."""


class ProcessingFailed(Exception):
    """The handler raised: nothing it did remains, and the event's row says what happened."""


def record(event: Json) -> Json:
    """Store a verified event unless it is there already; racing deliveries store it once.

    Returns it as it is stored. Raises MalformedEvent.
    """
    _check(event)
    event, payload = _storable(event)
    stripe_object = event["data"]["object"]
    values = [
        event["id"],
        event["type"],
        bool(event.get("livemode")),
        str(event.get("api_version") or "")[:64],
        payload,
        str(stripe_object.get("id") or "")[:255],
        objects.payment_intent_id(stripe_object) or "",
    ]
    prepared_sql.execute(_RECORD, values)
    return event


def process_new(event: Json) -> None:
    """Handle what `record` has just returned, by one word to the database if that will do.

    Raises ProcessingFailed.
    """
    with _failure_noted(event["id"]), transaction.atomic():
        if not fast_path.settle(event):
            _settle(_locked(event["id"]))


def process(event_id: str, *, force: bool = False, skip_locked: bool = False) -> StripeEvent:
    """Handle a stored event once: its effects and its settlement commit together.

    Concurrent calls queue on the row, or with `skip_locked` raise EventLocked; all but the first find it
    settled. `force` handles a settled event again, which changes nothing that was right. Raises
    ProcessingFailed.
    """
    with _failure_noted(event_id), transaction.atomic():
        event = _locked(event_id, skip_locked=skip_locked)
        _settle(event, force=force)
        return event


@contextmanager
def _failure_noted(event_id: str) -> Iterator[None]:
    try:
        yield
    except EventLocked:
        raise
    except Exception as error:
        _note_failure(event_id, error)
        raise ProcessingFailed(event_id) from error


def _locked(event_id: str, *, skip_locked: bool = False) -> StripeEvent:
    event = StripeEvent.objects.locked(skip_locked=skip_locked).filter(event_id=event_id).first()
    if event is None:
        raise EventLocked(event_id) if skip_locked else StripeEvent.DoesNotExist(event_id)
    return event


def _settle(event: StripeEvent, *, force: bool = False) -> None:
    if event.is_settled and not force:
        return
    outcome = handlers.handle(event)
    if event.is_settled and event.status == outcome.status:
        # Done again by force: what it did the first time is what staff want to read.
        event.attempts += 1
        event.save(update_fields=["attempts", "updated_at"])
    else:
        event.settle(outcome.status, outcome.text, outcome.conversation_id)


def _note_failure(event_id: str, error: Exception) -> None:
    """Leave the error on the row, in a transaction of its own that outlives the rollback."""
    logger.error("Event %s was not processed", event_id, exc_info=error)
    try:
        with transaction.atomic():
            # Another delivery may have settled it meanwhile: that is never undone.
            event = StripeEvent.objects.unsettled().locked().filter(event_id=event_id).first()
            if event is not None:
                event.fail(error)
    except DatabaseError:
        logger.exception("The failure of event %s could not be recorded", event_id)
        return
    if event is not None and event.is_parked:
        logger.error("Event %s is parked: it failed %d times", event_id, event.attempts)


def _check(event: Json) -> None:
    if event.get("object") == "v2.core.event":
        raise MalformedEvent("Thin events are not handled: register a snapshot endpoint.")
    if event.get("object", "event") != "event":
        raise MalformedEvent("The body is not a Stripe event.")
    for name, longest in (("id", 255), ("type", 128)):
        value = event.get(name)
        if not isinstance(value, str) or not _is_name(value, longest):
            raise MalformedEvent(f"The event has no usable {name}.")
    data = event.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
        raise MalformedEvent("The event has no data.object.")


def _is_name(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isascii() and text.isprintable()


def _storable(event: Json) -> tuple[Json, str]:
    """The event and its JSON text, with a replacement for what PostgreSQL's jsonb cannot hold.

    That is NUL and half a surrogate pair: no payment is refused for one in somebody's name.
    """
    try:
        text = json.dumps(event, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise MalformedEvent("The event holds a number that is not finite.") from None
    storable = text.encode(errors="replace").decode()
    if "\\u0000" in storable:
        storable = _NUL.sub(r"\1\\ufffd", storable)
    return (event if storable == text else json.loads(storable)), storable
