"""Times what may grow with the tables: requests, pages of the admin, probes, metrics, pruning.

    .venv/bin/python -m benchmarks.growth [--events 1000 100000 10000000] [--rounds 12]

On a private PostgreSQL, with so many rows in stripe_events and a third of that in each of orders,
conversations, links, grants and keys. In process, from the WSGI call to the closed response; a
link asks the local Stripe, another process. Cases take turns of five requests. Printed are the
shortest time of each in milliseconds, which a busy machine disturbs least, and the queries of
Django's connection; the query of a key check goes over a connection of its own. 3,000,000 events
take 4 GB of disk and some minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import admin
from benchmarks.api import timed
from devtools.ports import LOOPBACK, free_port
from devtools.postgres import Cluster
from devtools.service import Service
from devtools.settings_for_tests import SETTINGS

TURN = 5
KEYS = 50
METRICS_TOKEN = "metrics-token-of-the-benchmark"  # noqa: S105 - protects nothing
EMPTY = "TRUNCATE users, stripe_events, outbox RESTART IDENTITY CASCADE"

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    path: str
    body: str = ""
    query: str = ""
    headers: Json = field(default_factory=dict)

    def environ(self) -> Json:
        body = self.body.encode()
        return {
            "REQUEST_METHOD": "POST" if body else "GET",
            "PATH_INFO": self.path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": self.query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "3000",
            "HTTP_HOST": "localhost:3000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
            **self.headers,
        }


Case = Iterator[Request]


def bearer(token: str) -> Json:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def cases(count: int) -> dict[str, Case]:
    """`count` requests of each case, or more; `load` has been called before."""
    from accounts.models import User  # noqa: PLC0415 - settings must be configured first
    from accounts.tokens import issue_access  # noqa: PLC0415
    from conversations.models import Conversation  # noqa: PLC0415
    from testing.keys import revealed_key  # noqa: PLC0415

    user = User.objects.create_user("bench@example.com")
    secrets = [revealed_key(user)[1] for _ in range(KEYS)]
    made = Conversation.objects.bulk_create(
        Conversation(user=user, title=f"Growth {number}") for number in range(2 * count)
    )
    token, key = bearer(issue_access(user)), bearer(secrets[0])
    staff = {"HTTP_COOKIE": f"sessionid={session_of_staff()}"}
    return {
        "payment link": links(made[:count], token),
        "webhook of a payment": payments(made[count:]),
        "key check, not cached": misses(secrets),
        "key check, cached": itertools.repeat(Request("/api/api-keys/verify", headers=key)),
        "20 conversations": itertools.repeat(
            Request("/api/conversations", query="limit=20", headers=key)
        ),
        "20 orders": itertools.repeat(Request("/api/orders", query="limit=20", headers=key)),
        "admin, orders": itertools.repeat(Request("/admin/billing/order/", headers=staff)),
        "admin, events": itertools.repeat(Request("/admin/billing/stripeevent/", headers=staff)),
        "admin, home": itertools.repeat(Request("/admin/", headers=staff)),
        "/readyz": itertools.repeat(Request("/readyz")),
        "/metrics": itertools.repeat(Request("/metrics", headers=bearer(METRICS_TOKEN))),
    }


def session_of_staff() -> str:
    from accounts.models import User  # noqa: PLC0415
    from support import roles  # noqa: PLC0415

    staff = User.objects.create_user("support@staff.example.com", is_staff=True)
    staff.groups.add(roles.create_roles()["support"])
    client = Client()
    client.force_login(staff)
    return client.cookies["sessionid"].value


def links(conversations: Sequence[Any], headers: Json) -> Case:
    for conversation in conversations:
        body = json.dumps({"conversationId": conversation.pk})
        yield Request("/api/payments/link", body, headers=headers)


def payments(conversations: Sequence[Any]) -> Case:
    """A payment of each, by its own link: the fast path."""
    from testing import links, stripe_events  # noqa: PLC0415

    for conversation in conversations:
        own = {"id": f"cs_growth_{conversation.pk}", "payment_intent": f"pi_{conversation.pk}_g"}
        session = links.linked_session(conversation, **own)
        event_id = f"evt_growth_{conversation.pk}"
        event = stripe_events.event("checkout.session.completed", session, id=event_id)
        body = json.dumps(event)
        signed = {"HTTP_STRIPE_SIGNATURE": stripe_events.signature(body)}
        yield Request(stripe_events.URL, body, headers=signed)


def misses(secrets: Sequence[str]) -> Case:
    from apikeys.cache.store import CACHE  # noqa: PLC0415

    for secret in itertools.cycle(secrets):
        CACHE.invalidate_all()
        yield Request("/api/api-keys/verify", headers=bearer(secret))


def measure(found: dict[str, Case], rounds: int) -> dict[str, tuple[float, int]]:
    """The shortest time and the queries of each; the first turn warms up."""
    application = get_wsgi_application()
    times: dict[str, list[float]] = {name: [] for name in found}
    queries: dict[str, int] = {}
    for turn in range(rounds + 1):
        for name, requests in found.items():
            for _ in range(TURN):
                environ = next(requests).environ()
                taken, _ = timed(application, environ)
                if turn:
                    times[name].append(taken)
    for name, requests in found.items():
        environ = next(requests).environ()
        with CaptureQueriesContext(connection) as context:
            timed(application, environ)
        queries[name] = len(context)
    return {name: (min(each), queries[name]) for name, each in times.items()}


def prune() -> str:
    """What `prune_events` takes for a twelfth of the events, and VACUUM after it."""
    from billing.models import StripeEvent  # noqa: PLC0415

    database: Any = connection
    database.has_time_limit = False  # the requests before have set theirs
    # As if the oldest month had been settled when it came.
    StripeEvent.objects.filter(created_at__lt=timezone.now() - timedelta(days=335)).update(
        settled_at=timezone.now() - timedelta(days=335)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) stripe_events")
        before = StripeEvent.objects.count()
        seconds = seconds_of(
            lambda: call_command("prune_events", "--older-than=334", stdout=StringIO())
        )
        gone = before - StripeEvent.objects.count()
        vacuum = seconds_of(lambda: cursor.execute("VACUUM stripe_events"))
    return f"prune_events deleted {gone:,} events in {seconds:.1f} s, VACUUM took {vacuum:.1f} s"


def seconds_of(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def size() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_size_pretty(pg_relation_size('stripe_events')),"
            " pg_size_pretty(pg_indexes_size('stripe_events')),"
            " pg_size_pretty(pg_database_size(current_database()))"
        )
        table, indexes, whole = cursor.fetchone()
    return f"stripe_events {table}, its indexes {indexes}, the database {whole}"


def report(figures: dict[int, dict[str, tuple[float, int]]]) -> None:
    print(f"\n{'milliseconds (queries) at events':34}", *(f"{size:>16,}" for size in figures))
    for name in next(iter(figures.values())):
        row = (figures[size][name] for size in figures)
        print(f"{name:34}", *(f"{taken:11.2f} ({queries:2})" for taken, queries in row), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    sizes = [1_000, 100_000, 10_000_000]
    parser.add_argument("--events", type=int, nargs="+", default=sizes)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    figures: dict[int, dict[str, tuple[float, int]]] = {}
    stripe_port = free_port()
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(memory="2GB"))
        os.environ.update({**SETTINGS, "DATABASE_URL": cluster.url()})
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "payflow.settings",
            "STRIPE_API_BASE": f"http://{LOOPBACK}:{stripe_port}",
            "METRICS_TOKEN": METRICS_TOKEN,
            "API_KEY_REQUESTS_PER_MINUTE": "0",
            "LOG_LEVEL": "ERROR",
        }
        sandbox = [sys.executable, "-m", "sandbox", f"--port={stripe_port}"]
        stack.enter_context(Service("stripe", sandbox, os.environ)).wait_for_line_with("sandbox:")
        django.setup()
        call_command("migrate", verbosity=0)
        stack.callback(connection.close)
        for events in options.events:
            with connection.cursor() as cursor:
                cursor.execute(EMPTY)
            admin.load(events // 3)
            print(size(), flush=True)
            count = (options.rounds + 1) * TURN + 1
            figures[events] = measure(cases(count), options.rounds)
            report(figures)
            print(prune(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
