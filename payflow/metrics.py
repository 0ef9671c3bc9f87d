"""`/metrics` for Prometheus: what the processes counted, and what the database holds.

The workers of one server count together (payflow/server.py gives them a directory). What the
database holds is read with each scrape, by queries whose time does not grow with the tables:
partial indexes for what is unsettled or not completed, and PostgreSQL's statistics for the orders
of a large table.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import CharField, Count, Min, QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from billing.models import EventStatus, ImportedPayment, Order, OrderStatus, StripeEvent
from notifications.models import UNDELIVERED, Delivery, Endpoint, Notification
from support.open_work import (
    DISPUTES_TO_ANSWER,
    DUPLICATES_TO_REFUND,
    FAILING_ENDPOINTS,
    FRAUD_WARNINGS,
    IMPORTED_TO_ANSWER,
    ORDERS_TO_REVIEW,
    WAITING_EVENTS,
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

_SECONDS = Histogram(
    "payflow_http_request_duration_seconds",
    "Time to answer a request.",
    ["method", "route"],
    buckets=_BUCKETS,
)
_REQUESTS = Counter(
    "payflow_http_requests", "Requests by route and status.", ["method", "route", "status"]
)

# Bytes of a table that is counted row by row, which takes some 20 ms.
_COUNTED_UP_TO = 16 * 2**20
# Statuses with a partial index, and how far they are counted: failed orders grow with the table.
_RARE = (OrderStatus.PENDING, OrderStatus.FAILED)
_MOST_COUNTED = 10_000
# Rows of the whole table, and the fraction of each status, as of the last ANALYZE.
_ESTIMATED_STATUSES = """
    SELECT unnest(most_common_vals::text::text[]), unnest(most_common_freqs) * reltuples
    FROM pg_stats JOIN pg_class ON pg_class.oid = to_regclass(pg_stats.tablename)
    WHERE schemaname = ANY (current_schemas(false)) AND tablename = 'orders' AND attname = 'status'
"""


def count_request(method: str | None, route: str, status: int, seconds: float) -> None:
    known = method if method in _METHODS else "other"
    _SECONDS.labels(known, route).observe(seconds)
    _REQUESTS.labels(known, route, status).inc()


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """404 without METRICS_TOKEN; with it, the metrics for whoever bears it."""
    if not settings.METRICS_TOKEN:
        raise Http404
    expected = f"Bearer {settings.METRICS_TOKEN}".encode()
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
        return HttpResponse(
            "A bearer token is needed.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": "Bearer"},
        )
    text = generate_latest(_counted_by_processes()) + generate_latest(_held_by_database())
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _counted_by_processes() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    return registry


def _held_by_database() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return registry


class DatabaseCollector(Collector):
    """What the database holds; without one that answers, only that it does not."""

    def describe(self) -> Iterator[Metric]:
        """Nothing in advance: registering it must not query."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        started = time.perf_counter()
        try:
            families = [*_events(), _orders(), *_work_for_staff(), *_mail(), *_webhooks()]
            if connection.vendor == "postgresql":
                families.append(_connections())
        except DatabaseError:
            yield _gauge("payflow_database_up", "Whether the database answers.", 0)
            return
        yield from families
        yield _gauge("payflow_database_up", "Whether the database answers.", 1)
        seconds = time.perf_counter() - started
        yield _gauge("payflow_scrape_seconds", "Time that these queries took.", seconds)


def _events() -> Iterator[Metric]:
    """Unsettled events by status and type, and the age of the oldest that should be settled."""
    rows = (
        StripeEvent.objects.filter(WAITING_EVENTS)
        .order_by()
        .values_list("status", "type")
        .annotate(number=Count("*"), since=Min("created_at"))
    )
    events = GaugeMetricFamily(
        "payflow_events_unsettled",
        "Events that are neither settled nor marked as handled.",
        labels=["status", "type"],
    )
    now = oldest = timezone.now()
    for status, event_type, number, since in rows:
        events.add_metric([status, event_type], number)
        if status != EventStatus.UNMATCHED:
            oldest = min(oldest, since)
    yield events
    yield _gauge(
        "payflow_events_oldest_unsettled_seconds",
        "Age of the oldest event that is received or failed.",
        (now - oldest).total_seconds(),
    )


def _orders() -> Metric:
    orders = GaugeMetricFamily("payflow_orders", "Orders by status.", labels=["status"])
    found = _order_counts()
    for status in OrderStatus.values:
        orders.add_metric([status], found.get(status, 0))
    return orders


def _order_counts() -> dict[str, float]:
    """In a large table, a status of more than _MOST_COUNTED orders is estimated."""
    by_status = Order.objects.order_by().values_list("status").annotate(number=Count("*"))
    if connection.vendor != "postgresql":
        return dict(by_status)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(to_regclass('orders'))")
        (size,) = cursor.fetchone()
        if size <= _COUNTED_UP_TO:
            return dict(by_status)
        cursor.execute(_ESTIMATED_STATUSES)
        estimated = {status: float(number) for status, number in cursor.fetchall()}
    counted = {status: _count_up_to(_MOST_COUNTED, status) for status in _RARE}
    exact = {status: number for status, number in counted.items() if number < _MOST_COUNTED}
    return {**counted, **estimated, **exact}


def _count_up_to(most: int, status: OrderStatus) -> int:
    return Order.objects.filter(status=status).order_by()[:most].count()


def _work_for_staff() -> Iterator[Metric]:
    """What a person must look at: each has an alert in deploy/prometheus."""
    stuck = StripeEvent.objects.stuck().filter(WAITING_EVENTS)
    found = _count_each(
        {
            "parked": stuck.filter(parked_at__isnull=False),
            "to_refund": Order.objects.filter(DUPLICATES_TO_REFUND),
            "fraud_warnings": Order.objects.filter(FRAUD_WARNINGS),
            "to_review": Order.objects.filter(ORDERS_TO_REVIEW),
            "to_answer": Order.objects.filter(DISPUTES_TO_ANSWER),
            "imported": ImportedPayment.objects.filter(IMPORTED_TO_ANSWER),
        }
    )
    yield _gauge("payflow_events_parked", "Events that failed too often.", found["parked"])
    yield _gauge("payflow_orders_to_refund", "Duplicates not refunded.", found["to_refund"])
    yield _gauge(
        "payflow_fraud_warnings",
        "Orders with an early fraud warning, neither refunded nor disputed.",
        found["fraud_warnings"],
    )
    yield _gauge("payflow_orders_to_review", "Orders that need a review.", found["to_review"])
    yield _gauge(
        "payflow_disputes_to_answer",
        "Payments with a dispute or an inquiry whose answer is due.",
        found["to_answer"] + found["imported"],
    )


def _count_each(lists: Mapping[str, QuerySet[Any]]) -> dict[str, int]:
    """The number of rows of each, by one query. Partial indexes serve the parts about orders."""
    parts = [
        rows.order_by()
        .annotate(name=Value(name, output_field=CharField()))
        .values_list("name")
        .annotate(number=Count("*"))
        for name, rows in lists.items()
    ]
    counted = dict(parts[0].union(*parts[1:], all=True))
    return {name: counted.get(name, 0) for name in lists}


def _mail() -> Iterator[Metric]:
    """By partial indexes: what waits, and what did not arrive."""
    waiting = Notification.objects.waiting().aggregate(n=Count("*"), due=Min("mail_due_at"))
    yield _gauge("payflow_mail_waiting", "Mail that waits to be sent.", waiting["n"])
    yield _gauge(
        "payflow_mail_overdue_seconds",
        "How long ago the oldest mail that waits should have been sent.",
        _seconds_since(waiting["due"]),
    )
    undelivered = GaugeMetricFamily(
        "payflow_mail_undelivered", "Mail that bounced or was given up.", labels=["status"]
    )
    found = Notification.objects.undelivered().order_by().values_list("mail_status")
    counts = dict(found.annotate(number=Count("*")))
    for status in UNDELIVERED:
        undelivered.add_metric([status.value], counts.get(status.value, 0))
    yield undelivered


def _webhooks() -> Iterator[Metric]:
    waiting = Delivery.objects.waiting().filter(endpoint__disabled_at=None)
    found = waiting.aggregate(n=Count("*"), since=Min("created_at"))
    yield _gauge(
        "payflow_webhook_deliveries_waiting", "Events that wait for an endpoint.", found["n"]
    )
    yield _gauge(
        "payflow_webhook_deliveries_oldest_seconds",
        "Age of the oldest event that waits for an endpoint.",
        _seconds_since(found["since"]),
    )
    disabled = Endpoint.objects.filter(FAILING_ENDPOINTS, disabled_at__isnull=False)
    yield _gauge(
        "payflow_webhook_endpoints_disabled",
        "Endpoints that were disabled because they failed.",
        disabled.count(),
    )


def _seconds_since(time: datetime | None) -> float:
    return max((timezone.now() - time).total_seconds(), 0) if time else 0


def _connections() -> Metric:
    connections = GaugeMetricFamily(
        "payflow_database_connections", "Connections to the database by state.", labels=["state"]
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() GROUP BY 1"
        )
        for state, number in cursor.fetchall():
            connections.add_metric([state], number)
    return connections


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
