"""Bring back from Stripe what a restored backup lacks: events and paid sessions since a time.

`fetch_events` asks for undelivered events; after a restore the delivered ones are missing too.
Everything is applied as an event or `reconcile_orders` would, so that a repeat changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.db import connection

from billing import checkout
from billing.events import backfill, log, replay
from billing.models import StripeEvent
from billing.stripe import client, objects
from conversations.models import Conversation

logger = logging.getLogger(__name__)

# A session may be paid for a day after it was made, and a delayed payment later still.
SESSIONS_BEFORE = timedelta(days=15)


@dataclass(frozen=True, slots=True)
class Step:
    """`outcome` of one event or session; `reference` is its metadata, if it is ours."""

    outcome: str
    reference: objects.Reference | None


def recover(since: datetime) -> Iterator[Step]:
    """Apply the events since this time, then the sessions that may have been paid since.

    Raises client.StripeFailed; what was applied before stays.
    """
    for event in client.events_since(backfill.EVENT_TYPES, since):
        yield _apply_event(event)
    for session in client.sessions_since(since - SESSIONS_BEFORE):
        parsed = objects.parse_session(session)
        if parsed is not None and session.get("status") != "open":
            yield Step(checkout.apply(parsed), parsed.reference)


def missing(references: set[tuple[int, int]]) -> list[str]:
    """What of these users and conversations does not exist here, in words."""
    lines = []
    for user_id, conversation_id in sorted(references):
        if not get_user_model()._default_manager.filter(pk=user_id).exists():
            lines.append(f"user {user_id}, with conversation {conversation_id}, is missing")
        elif not Conversation.objects.owned_by(user_id).filter(pk=conversation_id).exists():
            lines.append(f"conversation {conversation_id} of user {user_id} is missing")
    return lines


def reserve_ids(references: set[tuple[int, int]]) -> None:
    """Never give a lost user's or conversation's id to a new one: its payment would be theirs."""
    if connection.vendor != "postgresql" or not references:
        return
    columns = zip(("users", "conversations"), zip(*references, strict=True), strict=True)
    with connection.cursor() as cursor:
        for table, ids in columns:
            cursor.execute(
                "SELECT setval(seq, greatest(%s, nextval(seq)))"
                " FROM (SELECT pg_get_serial_sequence(%s, 'id')::regclass AS seq) AS s",
                [max(ids), table],
            )


def _apply_event(event: client.Json) -> Step:
    try:
        log.record(event)
    except log.MalformedEvent as reason:
        logger.error("Event %s cannot be stored: %s", event.get("id"), reason)  # noqa: TRY400
        return Step(backfill.MALFORMED, None)
    outcome = replay.retry(str(event["id"]))
    stored = StripeEvent.objects.get(event_id=event["id"])
    return Step(outcome, objects.parse_reference(stored.stripe_object))
