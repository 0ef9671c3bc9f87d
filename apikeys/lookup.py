"""Whether a key works: lookup of a secret in the cache, else by one statement.

The model has the same rule as `ApiKey.may_authenticate`; its user must be active, and with
JWT_SUBJECT=external_id not of the staff.

The statement uses the unique hash and reads the key's grant and its user's `is_active` by their
primary keys. Copies of these columns on the key would save microseconds and could be wrong.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import DataError, connection, connections
from django.utils import timezone

from apikeys import metrics, tokens
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
# Where tokens can't reach staff, keys can't either.
_FIND_OF_CUSTOMERS = _FIND.replace("is_active", "is_active AND NOT (is_staff OR is_superuser)")


def find(secret: str) -> CachedKey | None:
    """The active key of this secret, if its user is active too; None otherwise."""
    digest = tokens.digest(secret)
    database = connections["default"]
    # Changes in the current transaction are not notified yet, and never if it is rolled back.
    if database.in_atomic_block or database.vendor != "postgresql":
        key = _select(digest)
    else:
        key = CACHE.get(digest)
        if key is None:
            metrics.CACHE_MISS.inc()
            key = _select_and_cache(digest)
        else:
            metrics.CACHE_HIT.inc()
    if key is None or (key.expires_at is not None and key.expires_at <= timezone.now()):
        return None
    return key


def _select_and_cache(digest: str) -> CachedKey | None:
    generation = CACHE.generation()
    if generation is None:
        LISTENER.ensure_running()
        return _select(digest)
    try:
        key = _from_row(LISTENER.query(_statement(), (digest,)))
    except Unavailable:
        key = _select(digest)
    if key is not None:
        CACHE.put(digest, key, generation)
    return key


def _select(digest: str) -> CachedKey | None:
    with connection.cursor() as cursor:
        cursor.execute(_statement(), (digest,))
        try:
            return _from_row(cursor.fetchone())
        except DataError as error:  # a time that Python can't represent
            logger.warning("The key with the hash %s is refused: %s", digest, error)
            return None


def _statement() -> str:
    return _FIND if settings.JWT_SUBJECT == "id" else _FIND_OF_CUSTOMERS


def _from_row(row: tuple[Any, ...] | None) -> CachedKey | None:
    if row is None:
        return None
    pk, user_id, grant_id, name, tier, expires_at, last_used_at = row
    return CachedKey(pk, user_id, grant_id, name, tier, _aware(expires_at), _aware(last_used_at))


def _aware(at: datetime | None) -> datetime | None:
    """SQLite returns UTC as naive times."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
