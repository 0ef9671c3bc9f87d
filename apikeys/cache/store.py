"""Per-process cache of active keys, valid while the invalidation listener's lease holds.

The listener extends the lease only after PostgreSQL has answered. Without a lease (connection
lost, silent, or not made yet) nothing is served, and no entry is served for longer than MAX_AGE.
Keys are stored under their hash; the cache holds no secrets.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

# `make bench-keys` prints what a full cache weighs.
MAX_ENTRIES = 20_000
# Seconds. Bounds the effect of a change that was not notified (triggers were disabled).
MAX_AGE = 300.0


@dataclass(slots=True)
class CachedKey:
    """An active key: the columns that a request needs."""

    pk: int
    user_id: int
    grant_id: int
    name: str
    tier: str
    expires_at: datetime | None
    last_used_at: datetime | None
    # Monotonic time.
    cached_until: float = 0.0


class KeyCache:
    """A bounded, thread-safe LRU cache.

    A reader takes the generation, queries the database and puts the result with that generation.
    If anything was invalidated in between, the result may be out of date and is not stored.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self.reset()

    def __len__(self) -> int:
        return len(self._entries)

    def reset(self) -> None:
        """Empty and disabled, with a new lock: a forked process may have inherited a held one."""
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, CachedKey] = OrderedDict()
        # The digests of each grant's cached keys, to invalidate them without a scan.
        self._by_grant: dict[int, tuple[str, ...]] = {}
        self._generation = 0
        self._lease_ends = 0.0

    @property
    def is_enabled(self) -> bool:
        return time.monotonic() < self._lease_ends

    def get(self, digest: str) -> CachedKey | None:
        with self._lock:
            now = time.monotonic()
            key = self._entries.get(digest)
            if key is None or now >= self._lease_ends or now >= key.cached_until:
                return None
            self._entries.move_to_end(digest)
            return key

    def generation(self) -> int | None:
        """To be taken before the database is queried; None while the cache is disabled."""
        with self._lock:
            return self._generation if self.is_enabled else None

    def put(self, digest: str, key: CachedKey, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._drop(digest)  # an older entry may belong to another grant
            key.cached_until = time.monotonic() + MAX_AGE
            self._entries[digest] = key
            self._by_grant[key.grant_id] = (*self._by_grant.get(key.grant_id, ()), digest)
            if len(self._entries) > self._max_entries:
                self._drop(next(iter(self._entries)))

    def invalidate(self, digest: str) -> None:
        with self._lock:
            self._generation += 1
            self._drop(digest)

    def invalidate_grant(self, grant_id: int) -> None:
        with self._lock:
            self._generation += 1
            for digest in self._by_grant.get(grant_id, ()):
                self._drop(digest)

    def invalidate_user(self, user_id: int) -> None:
        with self._lock:
            self._generation += 1
            gone = [digest for digest, key in self._entries.items() if key.user_id == user_id]
            for digest in gone:
                self._drop(digest)

    def invalidate_all(self) -> None:
        with self._lock:
            self._generation += 1
            self._entries.clear()
            self._by_grant.clear()

    def extend_lease(self, until: float) -> None:
        """Serve until this monotonic time."""
        with self._lock:
            self._lease_ends = until

    def disable(self) -> None:
        self.extend_lease(0.0)
        self.invalidate_all()

    def _drop(self, digest: str) -> None:
        """Remove an entry, if there is one. The caller holds the lock."""
        key = self._entries.pop(digest, None)
        if key is None:
            return
        others = tuple(other for other in self._by_grant.pop(key.grant_id) if other != digest)
        if others:
            self._by_grant[key.grant_id] = others


CACHE = KeyCache()
