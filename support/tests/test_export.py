"""CSV: what is filtered, streamed, and harmless in a spreadsheet."""

from __future__ import annotations

import csv

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.models import Order
from conversations.models import Conversation
from support.admin import export
from support.models import Kind, SupportAction
from support.tests.conftest import paid
from testing.factories import UserFactory
from testing.keys import issued_key


def rows(client: Client, url: str) -> list[dict[str, str]]:
    answer = client.post(url)
    assert answer.status_code == 200
    assert answer.streaming
    text = answer.getvalue().decode()
    return list(csv.DictReader(text.splitlines()))


def test_orders_are_exported_with_their_currencys_decimals(
    support: Client, conversation: Conversation
) -> None:
    order = paid(conversation, amount_total=1500, currency="kwd")
    (row,) = rows(support, "/admin/billing/order/export/")
    assert row["order"] == str(order.pk)
    assert (row["amount"], row["currency"]) == ("1.500", "kwd")
    assert row["user"] == order.user.email


def test_an_export_has_the_lists_filter_and_is_part_of_the_trail(
    support: Client, order: Order
) -> None:
    assert rows(support, "/admin/billing/order/export/?state=failed") == []
    assert len(rows(support, "/admin/billing/order/export/?state=completed")) == 1
    trace = SupportAction.objects.filter(kind=Kind.EXPORT).first()
    assert trace
    assert trace.reason == "orders state=failed"
    assert trace.actor.email == "support@staff.example.com"


def test_an_export_is_read_in_chunks_that_no_offset_slows(
    support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK", 10)
    user = UserFactory.create()
    Conversation.objects.bulk_create(Conversation(user=user, title=str(n)) for n in range(35))
    with CaptureQueriesContext(connection) as context:
        found = rows(support, "/admin/conversations/conversation/export/")
    assert [row["title"] for row in found] == [str(n) for n in reversed(range(35))]
    assert all("OFFSET" not in query["sql"] for query in context.captured_queries)


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_title_is_no_formula(support: Client, title: str) -> None:
    Conversation.objects.create(user=UserFactory.create(), title=title)
    (row,) = rows(support, "/admin/conversations/conversation/export/")
    assert row["title"].startswith("'")


def test_no_export_holds_a_hash(support: Client, order: Order) -> None:
    (row,) = rows(support, "/admin/apikeys/apikey/export/")
    assert issued_key(order).key_hash not in row.values()
    assert row["prefix"] == issued_key(order).key_prefix


def test_a_secret_in_the_address_of_an_export_is_not_kept(support: Client, order: Order) -> None:
    secret = "sk_" + "ab" * 32
    support.post(f"/admin/apikeys/apikey/export/?q={secret}")
    assert not SupportAction.objects.filter(reason__contains=secret).exists()
