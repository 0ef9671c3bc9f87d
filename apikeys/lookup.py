"""Finds the active key of a secret: in the process's cache, else by one statement.

The statement uses the unique hash and reads the key's grant and its user's `is_active` by their
primary keys. A copy of those facts on the key would save some microseconds and could be wrong.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from django.db import DataError, connection, connections
from django.utils import timezone

from apikeys import tokens
from apikeys.cache.invalidation import LISTENER, Unavailable
from apikeys.cache.store import CACHE, CachedKey

logger = logging.getLogger(__name__)

_FIND = """
    SELECT k.id, k.user_id, g.id, k.name, g.tier, k.expires_at, k.last_used_at
    FROM api_keys AS k JOIN grants AS g ON g.id = k.grant_id
    WHERE k.key_hash = %s AND k.revoked_at IS NULL AND k.suspended_at IS NULL
    AND g.revoked_at IS NULL AND g.suspended_at IS NULL AND g.stopped_at IS NULL
    AND (SELECT is_active FROM users WHERE users.id = k.user_id)
"""


def find(secret: str) -> CachedKey | None:
    """The live key of this secret, of an active user; None where there is none."""
    digest = tokens.digest(secret)
    database = connections["default"]
    # Within a transaction there may be changes that nobody was told of, and may never be.
    if database.in_atomic_block or database.vendor != "postgresql":
        key = _select(digest)
    else:
        key = CACHE.get(digest) or _select_and_keep(digest)
    if key is None or (key.expires_at is not None and key.expires_at <= timezone.now()):
        return None
    return key


def _select_and_keep(digest: str) -> CachedKey | None:
    ticket = CACHE.ticket()
    if ticket is None:
        LISTENER.ensure_running()
        return _select(digest)
    try:
        key = _made_of(LISTENER.query(_FIND, (digest,)))
    except Unavailable:
        key = _select(digest)
    if key is not None:
        CACHE.put(digest, key, ticket)
    return key


def _select(digest: str) -> CachedKey | None:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, (digest,))
        try:
            return _made_of(cursor.fetchone())
        except DataError as error:  # a time that Python cannot hold: nobody knows when it ends
            logger.warning("The key with the hash %s is refused: %s", digest, error)
            return None


def _made_of(row: tuple[Any, ...] | None) -> CachedKey | None:
    if row is None:
        return None
    pk, user_id, grant_id, name, tier, expires_at, last_used_at = row
    return CachedKey(pk, user_id, grant_id, name, tier, _aware(expires_at), _aware(last_used_at))


def _aware(at: datetime | None) -> datetime | None:
    """SQLite keeps UTC without saying so."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
