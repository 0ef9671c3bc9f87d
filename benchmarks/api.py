"""Times the API's lists against the check of a key, in process, on a private PostgreSQL.

    .venv/bin/python -m benchmarks.api [--rounds 300]

Each request goes through the whole middleware, from the WSGI call to the closed response, without
a socket. Requests take turns, so that noise spreads over all of them. Compared is the fastest
tenth, which a busy machine disturbs least. Ends with status 1 if a list of 20 rows costs more than
MAX_RATIO key checks.
"""

from __future__ import annotations

import argparse
import os
import statistics
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
WARM_UP = 50
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


def timed(application: Callable[..., Any], environment: dict[str, Any]) -> float:
    """Milliseconds of one request."""
    status: list[str] = []
    began = time.perf_counter()
    response = application(environment, lambda line, *_: status.append(line))
    for _ in response:
        pass
    response.close()
    taken = time.perf_counter() - began
    if not status[0].startswith(("200", "204")):
        raise SystemExit(f"{environment['PATH_INFO']}: {status[0]}")
    return taken * 1000


def measure(rounds: int, secret: str) -> dict[str, float]:
    """The slowest of the fastest tenth, of each path."""
    application = get_wsgi_application()
    paths = {CHECK: "", **LISTS, **OTHERS}
    times: dict[str, list[float]] = {path: [] for path in paths}
    for turn in range(rounds + WARM_UP):
        for path, query in paths.items():
            taken = timed(application, environ(path, query, secret))
            if turn >= WARM_UP:
                times[path].append(taken)
    return {path: statistics.quantiles(each, n=10)[0] for path, each in times.items()}


def report(costs: dict[str, float]) -> bool:
    check = costs[CHECK]
    print(f"{'request':24} {'time':>10} {'checks':>8}")
    for path, cost in costs.items():
        verdict = "  TOO MUCH" if path in LISTS and cost > MAX_RATIO * check else ""
        print(f"{path:24} {cost:7.2f} ms {cost / check:8.2f}{verdict}")
    return all(costs[path] <= MAX_RATIO * check for path in LISTS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=300)
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
