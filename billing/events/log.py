"""The event log: store an event, then handle and settle it in one transaction.

A repeated delivery of a settled event does nothing (`record` inserts no row, `_handle` returns); if
the event's handling failed before, it is handled again.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, transaction

from billing import fast_path, log_context, metrics
from billing.events import handlers
from billing.models import EventStatus, StripeEvent
from billing.stripe import objects
from restapi import prepared_sql

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# Stripe's objects nest to some twenty levels. Python's recursion limit makes deeper JSON unreadable
# in one place and readable in another.
MAX_DEPTH = 100

# An escaped NUL, not an escaped backslash followed by "u0000".
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

_RECORD = """
    INSERT INTO stripe_events
    (event_id, type, livemode, api_version, payload, object_id, payment_intent_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (event_id) DO NOTHING
"""


_TOO_DEEP = f"The event is nested deeper than {MAX_DEPTH} levels."


class MalformedEvent(Exception):
    """The body is signed but is not a snapshot event that can be stored. The text says why."""


class EventLocked(Exception):
    """Another process is handling the event."""


class ProcessingFailed(Exception):
    """The handler raised and was rolled back; the event's row has the error."""


def record(event: Json) -> Json:
    """Store a verified event once, however often it is delivered, and return it as stored.

    Raises MalformedEvent.
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
    """Handle a newly recorded event, using the fast path when it applies.

    Raises ProcessingFailed.
    """
    with _failure_recorded(event["id"]), transaction.atomic():
        if fast_path.try_fulfil(event):
            metrics.count_event(event["type"], EventStatus.PROCESSED)
        else:
            _handle(_locked(event["id"]))


def process(event_id: str, *, force: bool = False, skip_locked: bool = False) -> StripeEvent:
    """Handle a stored event once: its effects and its new status commit together.

    Concurrent calls wait for the row, or raise EventLocked with `skip_locked`; all but the first
    find it settled. `force` handles a settled event again, which changes only what was wrong.
    Raises ProcessingFailed.
    """
    with _failure_recorded(event_id), transaction.atomic():
        event = _locked(event_id, skip_locked=skip_locked)
        _handle(event, force=force)
        return event


@contextmanager
def _failure_recorded(event_id: str) -> Iterator[None]:
    log_context.start(event=event_id)
    try:
        yield
    except EventLocked:
        raise
    except Exception as error:
        _record_failure(event_id, error)
        raise ProcessingFailed(event_id) from error


def _locked(event_id: str, *, skip_locked: bool = False) -> StripeEvent:
    event = StripeEvent.objects.locked(skip_locked=skip_locked).filter(event_id=event_id).first()
    if event is None:
        raise EventLocked(event_id) if skip_locked else StripeEvent.DoesNotExist(event_id)
    return event


def _handle(event: StripeEvent, *, force: bool = False) -> None:
    if event.is_settled and not force:
        return
    if reference := objects.parse_reference(event.stripe_object):
        log_context.add(conversation=reference.conversation_id)
    outcome = handlers.handle(event)
    if event.is_settled and event.status == outcome.status:
        # Handled again by force: keep the outcome of the first time, which staff look for.
        event.attempts += 1
        event.save(update_fields=["attempts", "updated_at"])
    else:
        event.mark_settled(outcome.status, outcome.text, outcome.conversation_id)
    _count(event)


def _count(event: StripeEvent) -> None:
    """Types that are not handled count as one: Stripe has hundreds."""
    metrics.count_event(event.type if event.type in handlers.HANDLERS else "other", event.status)


def _record_failure(event_id: str, error: Exception) -> None:
    """Record the error on the event's row, in a new transaction after the rollback."""
    logger.error("Event %s was not processed", event_id, exc_info=error)
    try:
        with transaction.atomic():
            # Another delivery may have settled it in the meantime: leave that as it is.
            # Its payload may be what can't be read.
            events = StripeEvent.objects.unsettled().locked().defer("payload")
            event = events.filter(event_id=event_id).first()
            if event is not None:
                event.mark_failed(error)
                _count(event)
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
    for name, max_length in (("id", 255), ("type", 128)):
        value = event.get(name)
        if not isinstance(value, str) or not _is_name(value, max_length):
            raise MalformedEvent(f"The event has no usable {name}.")
    data = event.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
        raise MalformedEvent("The event has no data.object.")


def _is_name(text: str, max_length: int) -> bool:
    return 0 < len(text) <= max_length and text.isascii() and text.isprintable()


def _storable(event: Json) -> tuple[Json, str]:
    """The event and its JSON text, with the characters replaced that PostgreSQL's jsonb rejects.

    These are NUL and lone surrogates: one in a customer's name must not fail the payment.
    """
    try:
        text = json.dumps(event, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise MalformedEvent("The event has a number that is not finite.") from None
    except RecursionError:
        raise MalformedEvent(_TOO_DEEP) from None
    # Brackets in texts count too: only a suspicious event is walked through.
    if text.count("{") + text.count("[") > MAX_DEPTH and not _is_shallow(event):
        raise MalformedEvent(_TOO_DEEP)
    storable = text.encode(errors="replace").decode()
    if "\\u0000" in storable:
        storable = _NUL.sub(r"\1\\ufffd", storable)
    return (event if storable == text else json.loads(storable)), storable


def _is_shallow(event: Json) -> bool:
    """Whether the event has at most MAX_DEPTH levels."""
    level: list[Any] = [event]
    for _ in range(MAX_DEPTH):
        containers = (each for each in level if isinstance(each, (dict, list)))
        level = [
            inner
            for each in containers
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return not level
