"""The caches that all processes share: Redis, with values as JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError


def redis_caches(url: str) -> dict[str, dict[str, Any]]:
    """Django's CACHES: one that fails while Redis does not answer, and one that never does."""
    common = {
        "LOCATION": url,
        "KEY_PREFIX": "payflow",
        "OPTIONS": {
            # A count must not delay a request.
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
            "serializer": "payflow.cache.JSONSerializer",
        },
    }
    return {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", **common},
        "results": {"BACKEND": "payflow.cache.ResultsCache", **common},
    }


class ResultsCache(RedisCache):
    """For what can be asked or added up again: nothing is kept while Redis does not answer."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with suppress(RedisError):
            return super().get(key, default, version)
        return default

    def set(self, *arguments: Any, **options: Any) -> None:
        with suppress(RedisError):
            super().set(*arguments, **options)

    def add(self, *arguments: Any, **options: Any) -> bool:
        with suppress(RedisError):
            return super().add(*arguments, **options)
        return True


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
