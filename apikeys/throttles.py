"""How often: requests with one key, and failures from one address, in a minute.

Counted in fixed windows of a minute, in the cache that all processes share where there is one
(REDIS_URL). When that does not answer, each process counts for itself for a while: a limit is
there to keep the service up, so it must not take it down.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from redis.exceptions import RedisError
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apikeys.cache import LiveKey

logger = logging.getLogger(__name__)

WINDOW = 60
AVOID_SHARED_FOR = 5.0


class Counter:
    """Counts events by name within the running minute."""

    def __init__(self) -> None:
        self._shared_again_at = 0.0

    def add(self, name: str) -> int:
        """Count one more; how many there are now."""
        return self._ask(name, _increment)

    def read(self, name: str) -> int:
        return self._ask(name, lambda cache, bucket: int(cache.get(bucket, 0)))

    def _ask(self, name: str, question: Callable[[BaseCache, str], int]) -> int:
        bucket = f"{name}:{int(time.time()) // WINDOW}"
        if time.monotonic() >= self._shared_again_at:
            try:
                return question(caches["default"], bucket)
            except RedisError as error:
                self._shared_again_at = time.monotonic() + AVOID_SHARED_FOR
                logger.warning("Limits are counted per process: %s", error)
        return question(caches["process"], bucket)


COUNTER = Counter()


def spend(key: LiveKey) -> None:
    """Count a request of this key. Raises Throttled when there were too many."""
    limit = settings.API_KEY_REQUESTS_PER_MINUTE
    if limit and COUNTER.add(f"key:{key.pk}") > limit:
        raise Throttled(_rest_of_window())


def count_failure(address: str) -> None:
    """Count a failed authentication. Raises Throttled when the address has had too many."""
    limit = settings.FAILED_AUTHENTICATIONS_PER_MINUTE
    if limit and COUNTER.add(_failures(address)) > limit:
        raise Throttled(_rest_of_window())


class KeyThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, LiveKey):
            spend(request.auth)
        return True


class FailureThrottle(BaseThrottle):
    """Before a password is tried: guessing stops, whether the next guess is right or not."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.FAILED_AUTHENTICATIONS_PER_MINUTE
        return not limit or COUNTER.read(_failures(self.get_ident(request))) < limit

    def wait(self) -> float:
        return _rest_of_window()


def address_of(request: Any) -> str:
    """Where a request comes from; `X-Forwarded-For` counts as far as TRUSTED_PROXIES says."""
    return str(BaseThrottle().get_ident(request))


def _increment(cache: BaseCache, bucket: str) -> int:
    try:
        return cache.incr(bucket)
    except ValueError:  # the first of this window
        return 1 if cache.add(bucket, 1, timeout=2 * WINDOW) else cache.incr(bucket)


def _failures(address: str) -> str:
    """A name for the address that tells nobody what it is; IPv6 by the network of a customer."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        place = address
    else:
        place = str(parsed)
        if parsed.version == 6:
            place = str(ipaddress.ip_network((parsed, 64), strict=False))
    return f"failures:{hashlib.sha256(place.encode(errors='replace')).hexdigest()[:32]}"


def _rest_of_window() -> float:
    return WINDOW - time.time() % WINDOW
