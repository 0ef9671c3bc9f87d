"""Times the admin on a private PostgreSQL, compared with plain ModelAdmins on the same rows.

    .venv/bin/python -m benchmarks.admin [--orders 1000000] [--rounds 5]

Prints the median time and the number of queries of each page, the session's and the user's among
them, in process, through the whole middleware. Events are three times the orders; keys as many.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, setup_test_environment
from django.utils import timezone

from devtools.postgres import Cluster
from devtools.settings_for_tests import SETTINGS

LIST_LIMIT, HOME_LIMIT = 150.0, 100.0  # milliseconds
DATA = Path(__file__).with_name("admin_data.sql")


@dataclass
class Page:
    """A page of our admin, or of a plain ModelAdmin, which has no limit."""

    name: str
    url: str
    limit: float | None = LIST_LIMIT
    most_queries: int = 10
    body: dict[str, str] | None = None
    queries: int = 0
    times: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def is_kept(self) -> bool:
        return self.limit is None or (
            self.median < self.limit and self.queries <= self.most_queries
        )

    def visit(self, client: Client) -> Any:
        answer = client.post(self.url, self.body) if self.body else client.get(self.url)
        if answer.status_code not in (200, 303):
            raise SystemExit(f"{self.url} answered {answer.status_code}")
        return answer


def pages(orders: int) -> list[Page]:
    """Every list at both ends, its filters, the searches, the home page; then the plain ones."""
    found = [Page("home", "/admin/", HOME_LIMIT, 8)]
    for path in ("billing/order", "billing/stripeevent", "apikeys/apikey", "accounts/user"):
        found += [
            Page(f"{path}, first page", f"/admin/{path}/"),
            Page(f"{path}, last page", f"/admin/{path}/?oldest=1"),
        ]
    filters = {
        "billing/order": [
            f"state={state}"
            for state in (
                "completed",
                "pending",
                "failed",
                "duplicate",
                "needs_review",
                "refunded",
                "disputed",
            )
        ],
        "billing/stripeevent": [
            *(f"status={status}" for status in ("waiting", "failed", "unmatched", "ignored")),
            "status=received",
            "type=payment_intent.payment_failed",
            "type=charge.dispute.created",
        ],
        "apikeys/apikey": ["state=revoked", "state=suspended", "state=unrevealed"],
        "accounts/user": ["access=staff", "access=inactive"],
    }
    found += [
        Page(f"{path}, {query}", f"/admin/{path}/?{query}")
        for path, queries in filters.items()
        for query in queries
    ]
    found += [
        Page(f"order page {orders // 2}", f"/admin/billing/order/{orders // 2}/", most_queries=11),
        Page("user page", "/admin/accounts/user/77/change/"),
    ]
    for text in (
        "customer77@example.com",
        f"cs_test_{orders // 3}",
        "pi_77",
        "evt_77",
        "sk_e4da3b",
        "cus_77",
        "4242",
        "1234-5678",
        f"20.00 {timezone.now() - timedelta(days=300):%Y-%m-%d}",
    ):
        found.append(Page(f"search {text}", "/admin/search/", body={"q": text}))
    return [*found, *plain_pages(orders)]


def plain_pages(orders: int) -> list[Page]:
    rows = {"billing/order": orders, "billing/stripeevent": 3 * orders, "apikeys/apikey": orders}
    return [
        Page(f"plain {path}, {name} page", f"/plain/{path}/{query}", None)
        for path, number in rows.items()
        for name, query in (("first", ""), ("last", f"?p={number // 50}"))
    ]


def load(orders: int) -> None:
    """Fill the tables. Indexes are made afterwards, which takes a fraction of the time."""
    began = time.monotonic()
    database: Any = connection
    database.has_time_limit = False
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        # Without triggers: they would check each row's references, which are right.
        cursor.execute("SET session_replication_role = replica")
        indexes = drop_indexes(cursor)
        for statement in DATA.read_text().split(";\n"):
            if statement.strip():
                cursor.execute(statement, {"n": orders})
        for definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")
    database.has_time_limit = True
    print(f"{orders:,} orders and keys, {3 * orders:,} events loaded", end=" ")
    print(f"in {time.monotonic() - began:.0f} s", flush=True)


def drop_indexes(cursor: Any) -> list[str]:
    """Drop the indexes that guard no uniqueness; return the statements that make them."""
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " JOIN pg_class ON pg_class.oid = indrelid"
        " WHERE relnamespace = 'public'::regnamespace AND NOT indisunique"
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    return [definition for _, definition in indexes]


def signed_in() -> tuple[Client, Client]:
    """A user with the role `support`, and a superuser for the plain pages."""
    from accounts.models import User  # noqa: PLC0415 - settings must be configured first
    from support import roles  # noqa: PLC0415

    user = User.objects.create_user("support@staff.example.com", is_staff=True)
    user.groups.add(roles.create_roles()["support"])
    root = User.objects.create_superuser("root@staff.example.com")
    clients = Client(), Client()
    for client, person in zip(clients, (user, root), strict=True):
        client.force_login(person)
    return clients


def measure(found: Sequence[Page], rounds: int) -> None:
    """Measure round by round, so that noise spreads over all pages; the first round warms up."""
    support, root = signed_in()
    for turn in range(rounds + 1):
        for page in found:
            client = root if page.limit is None else support
            began = time.perf_counter()
            page.visit(client)
            elapsed = (time.perf_counter() - began) * 1000
            if turn:
                page.times.append(elapsed)
            else:
                with CaptureQueriesContext(connection) as context:
                    page.visit(client)
                page.queries = len(context)


def report(found: Sequence[Page]) -> bool:
    print(f"\n{'page':58} {'median':>10} {'queries':>8}")
    for page in found:
        limit = f"under {page.limit:.0f} ms" if page.limit else ""
        verdict = "" if page.is_kept else "  TOO MUCH"
        print(f"{page.name:58} {page.median:7.1f} ms {page.queries:8}  {limit}{verdict}")
    return all(page.is_kept for page in found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with Cluster() as cluster:
        os.environ.update({**SETTINGS, "DATABASE_URL": cluster.url()})
        os.environ["DJANGO_SETTINGS_MODULE"] = "payflow.settings"
        django.setup()
        setup_test_environment()
        django.conf.settings.ROOT_URLCONF = "benchmarks.plain_admin"
        call_command("migrate", verbosity=0)
        load(options.orders)
        found = pages(options.orders)
        measure(found, options.rounds)
        kept = report(found)
        connection.close()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
