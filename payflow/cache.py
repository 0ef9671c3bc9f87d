"""The cache that all processes share: Redis, with values as JSON."""

from __future__ import annotations

import json
from typing import Any


def redis_cache(url: str) -> dict[str, Any]:
    """Django's configuration of the cache."""
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "payflow",
        "OPTIONS": {
            # A count must not delay a request.
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
            "serializer": "payflow.cache.JSONSerializer",
        },
    }


class JSONSerializer:
    """JSON instead of Django's pickles: whoever can write to Redis must not run code here."""

    def dumps(self, value: Any) -> Any:
        # Redis increments only plain numbers.
        return value if type(value) is int else json.dumps(value)

    def loads(self, data: bytes) -> Any:
        """The value; None, as of a missing one, for anything that is not JSON."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return None
