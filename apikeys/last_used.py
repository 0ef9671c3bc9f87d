"""When a key, or a service token, was last used, to the minute.

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

logger = logging.getLogger(__name__)

RESOLUTION = timedelta(minutes=1)
RETRY_AFTER = timedelta(seconds=5)

# In a statement of its own: the UPDATE takes its table lock before it runs.
_SET_TIMEOUTS = "SET LOCAL lock_timeout = '50ms'; SET LOCAL synchronous_commit = off"
_UPDATE_LAST_USED = """
    WITH free AS (
        SELECT id FROM {table}
        WHERE id = %(id)s
        AND (last_used_at IS NULL OR last_used_at < %(stale)s OR last_used_at > %(ahead)s)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE {table} SET last_used_at = %(now)s FROM free WHERE {table}.id = free.id
    RETURNING {table}.id
"""
_STATEMENTS = {
    table: _UPDATE_LAST_USED.format(table=table) for table in ("api_keys", "service_tokens")
}


class UsedKey(Protocol):
    """CachedKey, ApiKey or ServiceToken."""

    pk: int
    last_used_at: datetime | None


def touch_last_used(key: UsedKey, table: str = "api_keys") -> None:
    """Record that the key was used, at most once a minute; a time in the future is corrected.

    On PostgreSQL a locked row is skipped, on SQLite a busy database; a later request tries again.
    Raises DatabaseError only within a transaction, which can't continue then.
    """
    now = timezone.now()
    if key.last_used_at is not None and abs(now - key.last_used_at) < RESOLUTION:
        return
    written = _write(table, key.pk, now)
    # Not written: another process wrote it or holds the row. Try again after RETRY_AFTER.
    key.last_used_at = now if written else now - RESOLUTION + RETRY_AFTER


def _write(table: str, key_id: int, now: datetime) -> bool:
    write = _write_on_postgres if connection.vendor == "postgresql" else _write_on_sqlite
    if connection.in_atomic_block:
        return write(table, key_id, now)
    try:
        return write(table, key_id, now)
    except DatabaseError as error:
        logger.info("last_used_at of %s %s was not updated: %s", table, key_id, error)
        return False


def _write_on_postgres(table: str, key_id: int, now: datetime) -> bool:
    times = {"now": now, "stale": now - RESOLUTION, "ahead": now + RESOLUTION}
    params = {"id": key_id, **times}
    if connection.in_atomic_block:  # the settings would outlive the statement
        return _update_on_django_connection(table, params)
    try:
        return LISTENER.query(_STATEMENTS[table], params) is not None
    except Unavailable:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_SET_TIMEOUTS)
            return _update_on_django_connection(table, params)


def _update_on_django_connection(table: str, params: Mapping[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENTS[table], params)
        return cursor.fetchone() is not None


def _write_on_sqlite(table: str, key_id: int, now: datetime) -> bool:
    update = f"UPDATE {table} SET last_used_at = %s WHERE id = %s"  # noqa: S608 - a name of ours
    values = (connection.ops.adapt_datetimefield_value(now), key_id)
    with connection.cursor() as cursor:
        if connection.in_atomic_block:  # it holds the write lock already
            return bool(cursor.execute(update, values).rowcount)
        timeout = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            return bool(cursor.execute(update, values).rowcount)
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {timeout:d}")
