"""Times the API's lists against the check of a key, in process, on a private PostgreSQL.

    .venv/bin/python -m benchmarks.api [--rounds 100]

Each request goes through the whole middleware, from the WSGI call to the closed response, without
a socket. Paths take turns of ten requests, so that noise spreads over all of them. Printed are the
time on the clock, which includes PostgreSQL's, and the processor time of this thread: of each the
shortest, which a busy machine disturbs least: a server that shares its caches with nginx and
PostgreSQL takes two to three times as long. Ends with status 1 if a list of 20 rows takes longer
than MAX_RATIO key checks.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.utils import timezone

from devtools.postgres import Cluster
from devtools.settings_for_tests import SETTINGS

ROWS = 20
MAX_RATIO = 3.0
TURN = 10
WARM_UP = 5
CHECK = "/api/api-keys/verify"
LISTS = {
    "/api/conversations": f"limit={ROWS}",
    "/api/orders": f"limit={ROWS}",
    "/api/api-keys": "",
}
OTHERS = {"/healthz": "", "/readyz": "", "/api/schema": ""}


def load() -> str:
    """A user with ROWS conversations, orders and keys. Returns one of the keys."""
    from accounts.models import User  # noqa: PLC0415 - settings must be configured first
    from billing.models import Order, OrderStatus  # noqa: PLC0415
    from conversations.models import Conversation  # noqa: PLC0415
    from testing.keys import revealed_key  # noqa: PLC0415

    user = User.objects.create_user("customer@example.com")
    secret = ""
    for number in range(ROWS):
        conversation = Conversation.objects.create(user=user, title=f"Conversation {number}")
        key, secret = revealed_key(user)
        Order.objects.create(
            user=user,
            conversation=conversation,
            stripe_session_id=f"cs_test_{number}",
            amount_cents=999,
            status=OrderStatus.COMPLETED,
            grant=key.grant,
            paid_at=timezone.now(),
        )
    return secret


def environ(path: str, query: str, secret: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "3000",
        "HTTP_HOST": "localhost:3000",
        "HTTP_AUTHORIZATION": f"Bearer {secret}",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
    }


def timed(application: Callable[..., Any], environment: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds of one request: on the clock, and of this thread."""
    status: list[str] = []
    began, used = time.perf_counter(), time.thread_time()
    response = application(environment, lambda line, *_: status.append(line))
    for _ in response:
        pass
    response.close()
    taken, used = time.perf_counter() - began, time.thread_time() - used
    if not status[0].startswith(("200", "204")):
        raise SystemExit(f"{environment['PATH_INFO']}: {status[0]}")
    return taken * 1000, used * 1000


def measure(rounds: int, secret: str) -> dict[str, tuple[float, float]]:
    """The shortest of both times, for each path."""
    application = get_wsgi_application()
    paths = {CHECK: "", **LISTS, **OTHERS}
    times: dict[str, list[tuple[float, float]]] = {path: [] for path in paths}
    for turn in range(rounds + WARM_UP):
        for path, query in paths.items():
            taken = [timed(application, environ(path, query, secret)) for _ in range(TURN)]
            if turn >= WARM_UP:
                times[path] += taken
    return {
        path: (min(clock for clock, _ in each), min(used for _, used in each))
        for path, each in times.items()
    }


def report(costs: dict[str, tuple[float, float]]) -> bool:
    check, check_used = costs[CHECK]
    print(f"{'request':24} {'time':>10} {'checks':>7} {'processor':>12} {'checks':>7}")
    for path, (cost, used) in costs.items():
        verdict = "  TOO MUCH" if path in LISTS and cost > MAX_RATIO * check else ""
        print(
            f"{path:24} {cost:7.2f} ms {cost / check:7.2f} {used:9.2f} ms"
            f" {used / check_used:7.2f}{verdict}"
        )
    return all(costs[path][0] <= MAX_RATIO * check for path in LISTS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with Cluster() as cluster:
        os.environ.update({**SETTINGS, "DATABASE_URL": cluster.url()})
        os.environ["API_KEY_REQUESTS_PER_MINUTE"] = "10000000"  # counted, and never reached
        os.environ["LOG_LEVEL"] = "WARNING"  # without a line for each request
        os.environ["DJANGO_SETTINGS_MODULE"] = "payflow.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        secret = load()
        kept = report(measure(options.rounds, secret))
        connection.close()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
