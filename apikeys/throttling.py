"""Rate limits in a minute: requests of a key or an account, failed authentications of a network.

Counts are kept in fixed windows of a minute, in the shared cache if there is one (REDIS_URL).
If Redis fails, each process counts for itself for a few seconds: a limit must not stop the
service that it protects.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from redis.exceptions import RedisError
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apikeys.cache.store import CachedKey

logger = logging.getLogger(__name__)

# Address forms that some proxies send: 192.0.2.1:50000, [2001:db8::1]:50000, [2001:db8::1].
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([^\[\]]+)\](?::[0-9]+)?", re.ASCII)
UNKNOWN_NETWORK = "::"
WINDOW = 60
RETRY_REDIS_AFTER = 5.0
# Upper bound of names in this process; beyond it new ones are not counted.
MAX_COUNTERS = 100_000


class FailureKind(StrEnum):
    """Kinds of failed authentication, counted apart.

    A script with an old key must not lock out people who sign in from the same address.
    """

    TOKEN = "keys"  # noqa: S105 - the name of a counter
    PASSWORD = "passwords"  # noqa: S105


class ProcessCounts:
    """The counts of this process in the current minute.

    Not Django's local memory cache, whose pickling costs more than the check of a key, nor
    `limits`, whose memory storage takes five times as long and has no upper bound.
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
        found = caches["default"].get(f"{name}:{window}")
        return found if isinstance(found, int) else 0

    def add(self, name: str, window: int) -> int:
        cache, bucket = caches["default"], f"{name}:{window}"
        try:
            return cache.incr(bucket)
        except ValueError:  # the first in this window
            return 1 if cache.add(bucket, 1, timeout=2 * WINDOW) else cache.incr(bucket)


class Counter:
    """Counts by name in the current minute: in Redis, or in this process."""

    def __init__(self) -> None:
        self._process = ProcessCounts()
        self._shared = SharedCounts()
        self._retry_redis_at = 0.0

    def clear(self) -> None:
        self._process.clear()
        self._retry_redis_at = 0.0

    def add(self, name: str) -> int:
        """Count one more. Returns the new count."""
        return self._call(lambda counts: counts.add(name, int(time.time()) // WINDOW))

    def read(self, name: str) -> int:
        return self._call(lambda counts: counts.read(name, int(time.time()) // WINDOW))

    def _call(self, operation: Callable[[ProcessCounts | SharedCounts], int]) -> int:
        if settings.REDIS_URL and time.monotonic() >= self._retry_redis_at:
            try:
                return operation(self._shared)
            except RedisError as error:
                self._retry_redis_at = time.monotonic() + RETRY_REDIS_AFTER
                logger.warning("Rate limits are counted per process: Redis failed: %s", error)
        return operation(self._process)


COUNTER = Counter()


# Where a request's limit is kept for its response: in `META`, which DRF's request shares.
RATE_LIMIT = "payflow.rate_limit"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit as a response tells it: draft-ietf-httpapi-ratelimit-headers-10."""

    name: str
    limit: int
    used: int

    def headers(self) -> dict[str, str]:
        left, seconds = max(0, self.limit - self.used), math.ceil(rest_of_window())
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={WINDOW}',
            "RateLimit": f'"{self.name}";r={left};t={seconds}',
        }


def count_request(request: HttpRequest | Request, key: CachedKey) -> None:
    """Count a request with this key. Raises Throttled if there were too many."""
    if limit := settings.API_KEY_REQUESTS_PER_MINUTE:
        _count(request, RateLimit("key", limit, COUNTER.add(f"key:{key.pk}")))


def count_service(request: HttpRequest | Request, token_id: int) -> None:
    """Count a request with this service token. Raises Throttled if there were too many."""
    if limit := settings.API_KEY_REQUESTS_PER_MINUTE:
        _count(request, RateLimit("service", limit, COUNTER.add(f"service:{token_id}")))


def count_failure(request: HttpRequest | Request, kind: FailureKind = FailureKind.TOKEN) -> None:
    """Count a failed authentication. Raises Throttled if the address had too many."""
    if limit := settings.FAILED_AUTHENTICATIONS_PER_MINUTE:
        _count(request, RateLimit("address", limit, COUNTER.add(_counter_name(request, kind))))


def _count(request: HttpRequest | Request, rate_limit: RateLimit) -> None:
    request.META[RATE_LIMIT] = rate_limit
    if rate_limit.used > rate_limit.limit:
        raise Throttled(rest_of_window())


def count_for_account(
    what: str, user_id: int, limit: int, *, has_paid: Callable[[], bool] | None = None
) -> None:
    """Count what an account does. Raises Throttled if it did too much.

    With `has_paid`, which is asked only if it matters, an account that never paid has half of the
    limit.
    """
    if not limit:
        return
    count = COUNTER.add(f"{what}:{user_id}")
    if count > limit or (has_paid is not None and count > limit / 2 and not has_paid()):
        raise Throttled(rest_of_window())


class CallerThrottle(BaseThrottle):
    """Every authenticated caller: a key, or the account of a JWT or a session."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, CachedKey):
            count_request(request, request.auth)
        elif request.user.pk and (limit := settings.API_KEY_REQUESTS_PER_MINUTE):
            count = COUNTER.add(f"account:{request.user.pk}")
            _count(request, RateLimit("account", limit, count))
        return True


def too_many_failures(request: HttpRequest, kind: FailureKind) -> bool:
    """Whether the request's network has used up its failures of this minute."""
    limit = settings.FAILED_AUTHENTICATIONS_PER_MINUTE
    return bool(limit) and COUNTER.read(_counter_name(request, kind)) >= limit


def address_of(request: Any) -> str:
    """The client's address as a proxy or the connection names it, for logs."""
    return BaseThrottle().get_ident(request) or ""


def network_of(request: Any) -> str:
    """The client's IPv4 address, or the first address of its IPv6 network (/64).

    `X-Forwarded-For` is trusted for TRUSTED_PROXIES hops. If the entry there is no address
    ("unknown"), it is that of the proxy; UNKNOWN_NETWORK if that is none either (a Unix socket).
    """
    peer = request.META.get("REMOTE_ADDR", "")
    return _network(address_of(request)) or _network(peer) or UNKNOWN_NETWORK


def _counter_name(request: HttpRequest | Request, kind: FailureKind) -> str:
    """A name that does not contain the address itself."""
    digest = hashlib.sha256(network_of(request).encode()).hexdigest()
    return f"failures:{kind}:{digest[:32]}"


def _network(address: str) -> str | None:
    with_port = _WITH_PORT.fullmatch(address)
    bare = (with_port[1] or with_port[2]) if with_port else address
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or ipaddress.ip_address(int(parsed) >> 64 << 64)
    return str(parsed)


def rest_of_window() -> float:
    return WINDOW - time.time() % WINDOW
