"""One process with one database: answers lines of JSON on its standard input with timings.

The whole stack is timed, from the WSGI call to the closed response, without a socket.
"""

from __future__ import annotations

import importlib
import json
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from functools import cache
from io import BytesIO
from typing import Any

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection

from benchmarks.keys import rows

Json = dict[str, Any]


def main() -> None:
    django.setup()
    tasks: dict[str, Callable[..., Any]] = {
        "load": load,
        "measure": measure,
        "use": use,
        "weigh": weigh,
    }
    for line in sys.stdin:
        task = json.loads(line)
        sys.stdout.write(json.dumps(tasks[task.pop("task")](**task)) + "\n")
        sys.stdout.flush()


def load(count: int) -> float:
    began = time.perf_counter()
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)  # for tables without migrations
    rows.load(count)
    return time.perf_counter() - began


def measure(
    path: str, kind: str, count: int, last: int, noted: bool, patient: bool, forget: bool
) -> float:
    """Median microseconds of requests with keys drawn from 1..last.

    `noted` says whether the use of our keys was noted just now, or never. `forget` empties our
    cache before each request. Without `patient` drf-simple-apikey does not sleep.
    """
    numbers = [random.randint(1, last) for _ in range(count)]  # noqa: S311
    if kind == "payflow":
        _set_use(numbers, noted=noted)
    environments = [_environ(path, kind, number) for number in numbers]
    if not patient:
        backends = importlib.import_module("drf_simple_apikey.backends")
        pause, backends.time.sleep = backends.time.sleep, lambda _: None
    for environment in environments[: 0 if forget else 25]:
        _timed(environment)  # in the cache, where that is what is measured
    try:
        return statistics.median(_timed(each, forget=forget) for each in environments) * 1e6
    finally:
        if not patient:
            backends.time.sleep = pause


def use(first: int, last: int, noted: bool) -> None:
    """Set the last use of our keys to now, or to never."""
    _set_use(range(first, last + 1), noted=noted)


def _set_use(numbers: Iterable[int], *, noted: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE api_keys SET last_used_at = CASE WHEN %s THEN now() END WHERE id = ANY(%s)",
            [noted, list(numbers)],
        )


def weigh(entries: int) -> int:
    """Bytes of a cache with this many keys, names as long as they may be."""
    cache_module = importlib.import_module("apikeys.cache.store")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = cache_module.KeyCache(entries)
    kept.extend_lease(time.monotonic() + 600)
    for number in range(2 * entries):
        now = django.utils.timezone.now()
        name = f"{number:07d}" + "\u20ac" * 193  # two bytes a character in memory
        key = cache_module.CachedKey(10**6 + number, 10**7 + number, name, "premium", now, now)
        kept.put(f"{number:064x}", key, 0)
    return tracemalloc.get_traced_memory()[0] - before


@cache
def _application() -> Any:
    return get_wsgi_application()


def _timed(environment: Json, *, forget: bool = False) -> float:
    if forget:
        importlib.import_module("apikeys.cache.store").CACHE.invalidate_all()
    application = _application()
    status: list[str] = []
    began = time.perf_counter()
    response = application(environment, lambda line, *_: status.append(line))
    for _ in response:
        pass
    response.close()
    taken = time.perf_counter() - began
    if not status[0].startswith(("200", "204")):
        raise SystemExit(f"{environment['PATH_INFO']}: {status[0]}")
    return taken


def _environ(path: str, kind: str, number: int) -> Json:
    authorization = {"HTTP_AUTHORIZATION": rows.header(kind, number)} if kind else {}
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "3000",
        "HTTP_HOST": "localhost:3000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        **authorization,
    }


if __name__ == "__main__":
    main()
