"""When a key was last used: right to within a minute, and no request ever waits for it.

Owns the decision to write conditionally in the request instead of batching in a thread: nothing
is lost when a process dies, and one UPDATE a minute and key is all there is to save. Whoever
holds the row is not waited for, and the commit does not wait for the disk.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Protocol

from django.db import DatabaseError, connection
from django.utils import timezone

from apikeys.models import ApiKey

logger = logging.getLogger(__name__)

RESOLUTION = timedelta(minutes=1)
TRY_AGAIN_AFTER = timedelta(seconds=5)

_QUIETLY = """
    WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)),
    free AS (
        SELECT id FROM api_keys, quick
        WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < %(stale)s)
        FOR NO KEY UPDATE OF api_keys SKIP LOCKED
    )
    UPDATE api_keys SET last_used_at = %(now)s FROM free WHERE api_keys.id = free.id
"""


class Used(Protocol):
    """What is known of a key that was just used."""

    pk: int
    last_used_at: datetime | None


def note_use(key: Used) -> None:
    """Record that the key was used, at most once a minute.

    A request must not queue behind whoever holds the row: on PostgreSQL a locked row is skipped,
    on SQLite a busy database is left alone, and the next request tries again.
    """
    now = timezone.now()
    if key.last_used_at is not None and now - key.last_used_at < RESOLUTION:
        return
    write = _write_on_postgres if connection.vendor == "postgresql" else _write_on_sqlite
    written = write(key.pk, now)
    # Somebody else has written it, or holds the row: not with the very next request again.
    key.last_used_at = now if written else now - RESOLUTION + TRY_AGAIN_AFTER


def _write_on_postgres(key_id: int, now: datetime) -> bool:
    # The statement's own transaction: inside of a larger one the setting would outlive it.
    statement = _QUIETLY
    if connection.in_atomic_block:
        statement = statement.replace("set_config('synchronous_commit', 'off', true)", "1")
    with connection.cursor() as cursor:
        cursor.execute(statement, {"id": key_id, "now": now, "stale": now - RESOLUTION})
        return bool(cursor.rowcount)


def _write_on_sqlite(key_id: int, now: datetime) -> bool:
    row = ApiKey.objects.filter(pk=key_id)
    if connection.in_atomic_block:  # then the write lock is ours already
        return row.update(last_used_at=now) > 0
    with connection.cursor() as cursor:
        patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            return row.update(last_used_at=now) > 0
        except DatabaseError as error:
            logger.debug("The use of key %s was not noted: %s", key_id, error)
            return False
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience:d}")
