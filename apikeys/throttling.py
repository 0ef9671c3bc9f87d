"""How often: requests with one key, and failures from one address, in a minute.

Counted in fixed windows of a minute, in the cache that all processes share where there is one
(REDIS_URL). When that does not answer, each process counts for itself for a while: a limit is
there to keep the service up, so it must not take it down.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import caches
from redis.exceptions import RedisError
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apikeys.cache.store import CachedKey

logger = logging.getLogger(__name__)

# Of what there are failures.
KEYS, PASSWORDS = "keys", "passwords"
# As some proxies write an address: 192.0.2.1:50000, [2001:db8::1]:50000, [2001:db8::1].
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([^\[\]]+)\](?::[0-9]+)?", re.ASCII)
WINDOW = 60
AVOID_SHARED_FOR = 5.0
# Of a flood from ever new addresses, the later ones are not counted.
MAX_COUNTERS = 100_000


class ProcessCounts:
    """What this process has counted in the running minute.

    Not Django's local memory cache: pickling a number twice costs more than the check of a key.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._window = 0
        self._counts: dict[str, int] = {}

    def read(self, name: str, window: int) -> int:
        with self._lock:
            return self._counts.get(name, 0) if window == self._window else 0

    def add(self, name: str, window: int) -> int:
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, {}
            count = self._counts.get(name, 0) + 1
            if count > 1 or len(self._counts) < MAX_COUNTERS:
                self._counts[name] = count
            return count


class SharedCounts:
    """The counts of all processes, in Django's cache. Raises RedisError."""

    def read(self, name: str, window: int) -> int:
        return int(caches["default"].get(f"{name}:{window}", 0))

    def add(self, name: str, window: int) -> int:
        cache, bucket = caches["default"], f"{name}:{window}"
        try:
            return cache.incr(bucket)
        except ValueError:  # the first of this window
            return 1 if cache.add(bucket, 1, timeout=2 * WINDOW) else cache.incr(bucket)


class Counter:
    """Counts events by name within the running minute."""

    def __init__(self) -> None:
        self._own = ProcessCounts()
        self._shared = SharedCounts()
        self._shared_again_at = 0.0

    def clear(self) -> None:
        self._own.clear()

    def add(self, name: str) -> int:
        """Count one more; how many there are now."""
        return self._ask(lambda counts: counts.add(name, int(time.time()) // WINDOW))

    def read(self, name: str) -> int:
        return self._ask(lambda counts: counts.read(name, int(time.time()) // WINDOW))

    def _ask(self, question: Callable[[ProcessCounts | SharedCounts], int]) -> int:
        if settings.REDIS_URL and time.monotonic() >= self._shared_again_at:
            try:
                return question(self._shared)
            except RedisError as error:
                self._shared_again_at = time.monotonic() + AVOID_SHARED_FOR
                logger.warning("Limits are counted per process: %s", error)
        return question(self._own)


COUNTER = Counter()


def count_request(key: CachedKey) -> None:
    """Count a request of this key. Raises Throttled when there were too many."""
    limit = settings.API_KEY_REQUESTS_PER_MINUTE
    if limit and COUNTER.add(f"key:{key.pk}") > limit:
        raise Throttled(_rest_of_window())


def count_failure(address: str, of: str = KEYS) -> None:
    """Count a failed authentication. Raises Throttled when the address has had too many of them.

    KEYS and PASSWORDS are counted apart: a script with an old key locks nobody out who signs in.
    """
    limit = settings.FAILED_AUTHENTICATIONS_PER_MINUTE
    if limit and COUNTER.add(_failures(address, of)) > limit:
        raise Throttled(_rest_of_window())


class KeyThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, CachedKey):
            count_request(request.auth)
        return True


class FailureThrottle(BaseThrottle):
    """Before a password is tried: guessing stops, whether the next guess is right or not."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.FAILED_AUTHENTICATIONS_PER_MINUTE
        return not limit or COUNTER.read(_failures(address_of(request), PASSWORDS)) < limit

    def wait(self) -> float:
        return _rest_of_window()


def address_of(request: Any) -> str:
    """Where a request comes from; `X-Forwarded-For` counts as far as TRUSTED_PROXIES says."""
    return BaseThrottle().get_ident(request) or ""


def _failures(address: str, of: str) -> str:
    """A name for the address that tells nobody what it is."""
    place = _place(address).encode(errors="replace")
    return f"failures:{of}:{hashlib.sha256(place).hexdigest()[:32]}"


def _place(address: str) -> str:
    """IPv4 by the address, however it is written; IPv6 by the network of a customer."""
    with_port = _WITH_PORT.fullmatch(address)
    bare = (with_port[1] or with_port[2]) if with_port else address
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed), 64), strict=False))


def _rest_of_window() -> float:
    return WINDOW - time.time() % WINDOW
