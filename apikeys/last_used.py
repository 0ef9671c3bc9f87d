"""When a key was last used, to the minute.

The time is written in the request, not batched in a thread: nothing is lost when a process dies,
and there is at most one UPDATE per key and minute. It never waits for a row lock (SKIP LOCKED),
at most 50 ms for a table lock, and not for the disk. If it can't be written, as in a read-only
database, the request continues.

The listener's connection for queries has these settings already and needs one round trip.
Django's connection is used if there is none, and within a transaction.
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

# In a statement of its own: the UPDATE takes its table lock before it runs.
_SET_TIMEOUTS = "SET LOCAL lock_timeout = '50ms'; SET LOCAL synchronous_commit = off"
_UPDATE_LAST_USED = """
    WITH free AS (
        SELECT id FROM api_keys
        WHERE id = %(id)s
        AND (last_used_at IS NULL OR last_used_at < %(stale)s OR last_used_at > %(ahead)s)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE api_keys SET last_used_at = %(now)s FROM free WHERE api_keys.id = free.id
    RETURNING api_keys.id
"""


class UsedKey(Protocol):
    """A key: CachedKey or ApiKey."""

    pk: int
    last_used_at: datetime | None


def touch_last_used(key: UsedKey) -> None:
    """Record that the key was used, at most once a minute; a time in the future is corrected.

    On PostgreSQL a locked row is skipped, on SQLite a busy database; a later request tries again.
    Raises DatabaseError only within a transaction, which can't continue then.
    """
    now = timezone.now()
    if key.last_used_at is not None and abs(now - key.last_used_at) < RESOLUTION:
        return
    written = _write(key.pk, now)
    # Not written: another process wrote it or holds the row. Try again after RETRY_AFTER.
    key.last_used_at = now if written else now - RESOLUTION + RETRY_AFTER


def _write(key_id: int, now: datetime) -> bool:
    write = _write_on_postgres if connection.vendor == "postgresql" else _write_on_sqlite
    if connection.in_atomic_block:
        return write(key_id, now)
    try:
        return write(key_id, now)
    except DatabaseError as error:
        logger.info("last_used_at of key %s was not updated: %s", key_id, error)
        return False


def _write_on_postgres(key_id: int, now: datetime) -> bool:
    times = {"now": now, "stale": now - RESOLUTION, "ahead": now + RESOLUTION}
    params = {"id": key_id, **times}
    if connection.in_atomic_block:  # the settings would outlive the statement
        return _update_on_django_connection(params)
    try:
        return LISTENER.query(_UPDATE_LAST_USED, params) is not None
    except Unavailable:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_SET_TIMEOUTS)
            return _update_on_django_connection(params)


def _update_on_django_connection(params: Mapping[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE_LAST_USED, params)
        return cursor.fetchone() is not None


def _write_on_sqlite(key_id: int, now: datetime) -> bool:
    row = ApiKey.objects.filter(pk=key_id)
    if connection.in_atomic_block:  # it holds the write lock already
        return row.update(last_used_at=now) > 0
    with connection.cursor() as cursor:
        timeout = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            return row.update(last_used_at=now) > 0
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {timeout:d}")
