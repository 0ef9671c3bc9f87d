"""When a key was last used: right to within a minute, and no request ever waits for it.

Owns the decision to write conditionally in the request instead of batching in a thread: nothing
is lost when a process dies, and one UPDATE a minute and key is all there is to save. Whoever
holds the row is not waited for, who holds the table hardly, and the commit does not wait for the
disk. Where it cannot be written, as in a database that is read only, the request goes on.

The listener's connection for questions has that patience and haste already and answers in one
round trip; Django's is asked where there is none, and within a transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apikeys.cache.invalidation import LISTENER, Unavailable
from apikeys.models import ApiKey

logger = logging.getLogger(__name__)

RESOLUTION = timedelta(minutes=1)
RETRY_AFTER = timedelta(seconds=5)

# Of a table that is locked: a statement of its own, because the next one locks before it runs.
_PATIENCE = "SET LOCAL lock_timeout = '50ms'; SET LOCAL synchronous_commit = off"
_NOTE = """
    WITH free AS (
        SELECT id FROM api_keys
        WHERE id = %(id)s
        AND (last_used_at IS NULL OR last_used_at < %(stale)s OR last_used_at > %(ahead)s)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE api_keys SET last_used_at = %(now)s FROM free WHERE api_keys.id = free.id
    RETURNING api_keys.id
"""


class Used(Protocol):
    """What is known of a key that was just used."""

    pk: int
    last_used_at: datetime | None


def touch_last_used(key: Used) -> None:
    """Record that the key was used, at most once a minute; a time in the future is corrected.

    A request must not queue behind whoever holds the row: on PostgreSQL a locked row is skipped,
    on SQLite a busy database is left alone, and the next request tries again. Raises DatabaseError
    only within a transaction, which it has ended then.
    """
    now = timezone.now()
    if key.last_used_at is not None and abs(now - key.last_used_at) < RESOLUTION:
        return
    written = _write(key.pk, now)
    # Somebody else has written it, or holds the row: not with the very next request again.
    key.last_used_at = now if written else now - RESOLUTION + RETRY_AFTER


def _write(key_id: int, now: datetime) -> bool:
    write = _write_on_postgres if connection.vendor == "postgresql" else _write_on_sqlite
    if connection.in_atomic_block:
        return write(key_id, now)
    try:
        return write(key_id, now)
    except DatabaseError as error:
        logger.info("The use of key %s was not noted: %s", key_id, error)
        return False


def _write_on_postgres(key_id: int, now: datetime) -> bool:
    times = {"now": now, "stale": now - RESOLUTION, "ahead": now + RESOLUTION}
    noting = {"id": key_id, **times}
    if connection.in_atomic_block:  # the settings would outlive the statement
        return _ask_django(noting)
    try:
        return LISTENER.query(_NOTE, noting) is not None
    except Unavailable:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_PATIENCE)
            return _ask_django(noting)


def _ask_django(noting: Mapping[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, noting)
        return cursor.fetchone() is not None


def _write_on_sqlite(key_id: int, now: datetime) -> bool:
    row = ApiKey.objects.filter(pk=key_id)
    if connection.in_atomic_block:  # then the write lock is ours already
        return row.update(last_used_at=now) > 0
    with connection.cursor() as cursor:
        patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            return row.update(last_used_at=now) > 0
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience:d}")
