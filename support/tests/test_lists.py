"""What PostgreSQL reads for a list of the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from testing.plans import plan, plan_with_only

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("billing/stripeevent/?status=waiting", "stripe_events_unsettled"),
        ("billing/stripeevent/?status=failed", "stripe_events_unsettled"),
        ("notifications/notification/?mail=undelivered", "outbox_mail_undelivered"),
        ("billing/order/?state=in_dispute", "orders_disputed"),
        ("billing/order/?state=to_answer", "disputes_to_answer"),
        ("billing/order/?state=duplicate", "orders_duplicate"),
        ("billing/order/?state=needs_review", "orders_needs_review"),
        ("billing/order/?state=refunded", "orders_refunded"),
        ("apikeys/apikey/?state=suspended", "api_keys_suspended"),
    ],
)
@pytest.mark.parametrize("end", ["", "&oldest=1"])
def test_rare_rows_are_found_by_their_index(
    support: Client, path: str, index: str, end: str
) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert support.get(f"/admin/{path}{end}").status_code == 200
    (sql,) = (query["sql"] for query in queries if " LIMIT 51" in query["sql"])
    assert index in plan_with_only(index, sql)


@pytest.mark.parametrize("end", ["", "&oldest=1"])
@pytest.mark.parametrize("status", ["waiting", "failed"])
def test_rare_rows_are_sorted_after_they_are_found(support: Client, status: str, end: str) -> None:
    """A wrong estimate made PostgreSQL look for them in all rows, from the newest on."""
    with CaptureQueriesContext(connection) as queries:
        assert support.get(f"/admin/billing/stripeevent/?status={status}{end}").status_code == 200
    (sql,) = (query["sql"] for query in queries if " LIMIT 51" in query["sql"])
    assert sorts(sql)


def test_an_export_finds_rare_rows_by_their_index_and_sorts_them(support: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        answer: Any = support.post("/admin/billing/stripeevent/export/?status=waiting")
        list(answer.streaming_content)
    (sql,) = (query["sql"] for query in queries if " LIMIT 2000" in query["sql"])
    index = "stripe_events_unsettled"
    assert index in plan_with_only(index, sql)
    assert sorts(sql)


def sorts(sql: str) -> bool:
    """Whether PostgreSQL sorts even where an order seems cheap that an index has."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
    return "Sort" in plan(sql)
