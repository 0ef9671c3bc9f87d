"""Live keys that this process has seen, for as long as it is sure to hear of their end.

Owns the decision when an entry may be served: while the lease runs, which the listener renews
only after a word with the database. No lease (connection lost, silent, or not yet made), no
cache; and no entry for longer than MAX_AGE. Keys are kept under their hash; a secret is never in
here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

# `make bench-keys` prints what a full cache weighs.
MAX_ENTRIES = 20_000
# Seconds. News that was never sent (somebody had disabled the triggers) is made up for by asking
# again; a question for each key in five minutes is not felt.
MAX_AGE = 300.0


@dataclass(slots=True)
class CachedKey:
    """A key that authenticates: what a request needs to know of it."""

    pk: int
    user_id: int
    grant_id: int
    name: str
    tier: str
    expires_at: datetime | None
    last_used_at: datetime | None
    # Of the monotonic clock: until when the cache serves it.
    kept_until: float = 0.0


class KeyCache:
    """A bounded store, least recently used out first, safe between threads.

    A reader takes a ticket, asks the database and puts the answer with its ticket. If anything
    was forgotten in between, the answer may be older than the news and is not kept.
    """

    def __init__(self, most: int = MAX_ENTRIES) -> None:
        self._most = most
        self.reset()

    def __len__(self) -> int:
        return len(self._entries)

    def reset(self) -> None:
        """Empty and off, with a new lock: a forked process may have inherited a held one."""
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, CachedKey] = OrderedDict()
        # The digests of each grant's cached keys, to forget them without a scan.
        self._by_grant: dict[int, tuple[str, ...]] = {}
        self._news = 0
        self._lease_ends = 0.0

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self._lease_ends

    def get(self, digest: str) -> CachedKey | None:
        with self._lock:
            now = time.monotonic()
            key = self._entries.get(digest)
            if key is None or now >= self._lease_ends or now >= key.kept_until:
                return None
            self._entries.move_to_end(digest)
            return key

    def ticket(self) -> int | None:
        """To be taken before the database is asked; None while the cache is off."""
        with self._lock:
            return self._news if self.is_on else None

    def put(self, digest: str, key: CachedKey, ticket: int) -> None:
        with self._lock:
            if ticket != self._news:
                return
            self._drop(digest)  # an older entry may be of another grant
            key.kept_until = time.monotonic() + MAX_AGE
            self._entries[digest] = key
            self._by_grant[key.grant_id] = (*self._by_grant.get(key.grant_id, ()), digest)
            if len(self._entries) > self._most:
                self._drop(next(iter(self._entries)))

    def invalidate(self, digest: str) -> None:
        with self._lock:
            self._news += 1
            self._drop(digest)

    def invalidate_grant(self, grant_id: int) -> None:
        with self._lock:
            self._news += 1
            for digest in self._by_grant.get(grant_id, ()):
                self._drop(digest)

    def invalidate_user(self, user_id: int) -> None:
        with self._lock:
            self._news += 1
            gone = [digest for digest, key in self._entries.items() if key.user_id == user_id]
            for digest in gone:
                self._drop(digest)

    def invalidate_all(self) -> None:
        with self._lock:
            self._news += 1
            self._entries.clear()
            self._by_grant.clear()

    def extend_lease(self, until: float) -> None:
        """Serve until this moment of the monotonic clock."""
        with self._lock:
            self._lease_ends = until

    def disable(self) -> None:
        self.extend_lease(0.0)
        self.invalidate_all()

    def _drop(self, digest: str) -> None:
        """Remove an entry, if it is there. The lock is held."""
        key = self._entries.pop(digest, None)
        if key is None:
            return
        others = tuple(other for other in self._by_grant.pop(key.grant_id) if other != digest)
        if others:
            self._by_grant[key.grant_id] = others


CACHE = KeyCache()
