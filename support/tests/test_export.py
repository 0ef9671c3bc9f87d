"""CSV exports: filtered, streamed, and safe to open in a spreadsheet."""

from __future__ import annotations

import codecs
import csv
import io

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.models import Order
from conversations.models import Conversation
from support.admin import export
from support.models import SupportAction
from support.tests.conftest import paid
from testing.factories import UserFactory
from testing.keys import issued_key


def rows(client: Client, url: str) -> list[dict[str, str]]:
    answer = client.post(url)
    assert answer.status_code == 200
    assert answer.streaming
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def test_orders_are_exported_with_their_currencys_decimals(
    support: Client, conversation: Conversation
) -> None:
    order = paid(conversation, amount_total=1500, currency="kwd")
    (row,) = rows(support, "/admin/billing/order/export/")
    assert row["order"] == str(order.pk)
    assert (row["amount"], row["currency"]) == ("1.500", "kwd")
    assert row["user"] == order.user.email


def test_an_export_has_the_lists_filter_and_is_in_the_audit_log(
    support: Client, order: Order
) -> None:
    assert rows(support, "/admin/billing/order/export/?state=failed") == []
    assert len(rows(support, "/admin/billing/order/export/?state=completed")) == 1
    action = SupportAction.objects.filter(kind="export").first()
    assert action
    assert action.reason == "orders state=failed"
    assert action.actor.email == "support@staff.example.com"


def test_an_export_is_read_in_chunks_without_offset(
    support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK_SIZE", 10)
    user = UserFactory.create()
    Conversation.objects.bulk_create(Conversation(user=user, title=str(n)) for n in range(35))
    with CaptureQueriesContext(connection) as context:
        found = rows(support, "/admin/conversations/conversation/export/")
    assert [row["title"] for row in found] == [str(n) for n in reversed(range(35))]
    assert all("OFFSET" not in query["sql"] for query in context.captured_queries)


@pytest.mark.parametrize(
    "title",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1"),
        *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)", "\ufe661", "\u3000=1"),
    ],
)
def test_a_title_is_never_a_formula(support: Client, title: str) -> None:
    Conversation.objects.create(user=UserFactory.create(), title=title)
    text = support.post("/admin/conversations/conversation/export/").getvalue().decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["title"] == f"'{title}"


def test_an_export_begins_with_the_mark_that_excel_reads_as_utf_8(support: Client) -> None:
    Conversation.objects.create(user=UserFactory.create(), title="Größe")
    data = support.post("/admin/conversations/conversation/export/").getvalue()
    assert data.startswith(codecs.BOM_UTF8)
    assert data.count(codecs.BOM_UTF8) == 1
    assert "Größe" in data.decode("utf-8-sig")


def test_no_export_holds_a_hash(support: Client, order: Order) -> None:
    (row,) = rows(support, "/admin/apikeys/apikey/export/")
    assert issued_key(order).key_hash not in row.values()
    assert row["prefix"] == issued_key(order).key_prefix


def test_a_secret_in_the_url_of_an_export_is_not_stored(support: Client, order: Order) -> None:
    secret = "sk_" + "ab" * 32
    support.post(f"/admin/apikeys/apikey/export/?q={secret}")
    assert not SupportAction.objects.filter(reason__contains=secret).exists()
