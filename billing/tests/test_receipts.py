"""`receiptUrl` of an order: from the newest event of its charge, in whatever order they arrive."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing import fast_path, receipts
from billing.events import log
from billing.models import Order, StripeEvent
from conversations.models import Conversation
from restapi import prepared_sql
from testing import stripe_events as stripe
from testing.concurrency import concurrently
from testing.factories import ConversationFactory

pytestmark = pytest.mark.django_db

PAYMENT = "pi_of_receipt"
URL = "https://pay.stripe.com/receipts/payment/CAcaFw"

Api = Callable[[User], APIClient]


def charge(url: Any = URL, kind: str = "charge.succeeded", **fields: Any) -> stripe.Json:
    return stripe.event(kind, stripe.refunded_charge(PAYMENT, 0, receipt_url=url), **fields)


def paid(conversation: Conversation, **fields: Any) -> stripe.Json:
    return stripe.completed(conversation, payment_intent=PAYMENT, **fields)


def deliver(*events: stripe.Json) -> None:
    for event in events:
        assert stripe.deliver(event).status_code == 200


def url_of_order() -> str:
    return Order.objects.get().receipt_url


@pytest.mark.parametrize("charge_first", [True, False])
@pytest.mark.parametrize("takes_fast_path", [True, False])
def test_an_order_is_answered_with_its_receipt(
    conversation: Conversation,
    api_of: Api,
    stranger: User,
    charge_first: bool,
    takes_fast_path: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not takes_fast_path:
        monkeypatch.setattr(fast_path, "try_fulfil", lambda event: False)
    completed = paid(conversation)
    deliver(*((charge(), completed) if charge_first else (completed, charge())))
    client, order = api_of(conversation.user), Order.objects.get()
    (listed,) = client.get("/api/orders").json()["orders"]
    session = client.get(f"/api/checkout-sessions/{order.stripe_session_id}").json()
    assert listed["receiptUrl"] == URL
    assert client.get(f"/api/orders/{order.pk}").json() == listed == session["order"]
    assert api_of(stranger).get(f"/api/orders/{order.pk}").status_code == 404


def test_an_order_without_a_charge_has_none(conversation: Conversation, api_of: Api) -> None:
    deliver(paid(conversation))
    (listed,) = api_of(conversation.user).get("/api/orders").json()["orders"]
    assert listed["receiptUrl"] is None


def test_a_delayed_payment_has_its_receipt_when_it_is_paid(conversation: Conversation) -> None:
    unpaid = stripe.session(conversation, payment_intent=PAYMENT, payment_status="unpaid")
    deliver(stripe.event("checkout.session.completed", unpaid), charge())
    assert url_of_order() == URL
    succeeded = {**unpaid, "payment_status": "paid"}
    deliver(stripe.event("checkout.session.async_payment_succeeded", succeeded))
    assert url_of_order() == URL


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_newest_receipt_counts_in_any_order(
    conversation: Conversation, order: tuple[int, ...]
) -> None:
    events = [
        paid(conversation),
        charge("https://stripe/1", created=1_700_000_000),
        charge("https://stripe/2", "charge.updated", created=1_700_000_060),
        charge(None, "charge.updated", created=1_700_000_120),
    ]
    deliver(*(events[number] for number in order))
    assert url_of_order() == "https://stripe/2"


STRANGE: list[Any] = [None, 5, {}, ["https://x"], "javascript:alert(1)", "", "ftp://x", True]


@pytest.mark.parametrize("url", STRANGE, ids=repr)
@pytest.mark.parametrize("charge_first", [True, False])
def test_what_is_no_address_is_no_receipt(
    conversation: Conversation, url: Any, charge_first: bool
) -> None:
    events = [charge(url), paid(conversation)]
    deliver(*(events if charge_first else reversed(events)))
    assert url_of_order() == ""


@pytest.mark.parametrize("fields", [{"account": "acct_1"}, {"livemode": True}], ids=str)
@pytest.mark.parametrize("charge_first", [True, False])
def test_an_event_that_is_not_of_this_account_and_mode_tells_no_receipt(
    conversation: Conversation, fields: dict[str, Any], charge_first: bool
) -> None:
    events = [charge(**fields), paid(conversation)]
    deliver(*(events if charge_first else reversed(events)))
    assert url_of_order() == ""


def test_a_charge_of_another_product_changes_nothing(conversation: Conversation) -> None:
    deliver(paid(conversation))
    other = stripe.refunded_charge("pi_of_another", 0, receipt_url=URL)
    without = {**stripe.refunded_charge("", 0, receipt_url=URL), "payment_intent": None}
    deliver(stripe.event("charge.succeeded", other), stripe.event("charge.succeeded", without))
    assert url_of_order() == ""
    charges = StripeEvent.objects.filter(type="charge.succeeded")
    assert set(charges.values_list("status", flat=True)) == {"ignored"}


def everything() -> list[dict[str, Any]]:
    volatile = ("updated_at", "attempts")
    rows: list[Any] = [*Order.objects.values(), *StripeEvent.objects.order_by("pk").values()]
    return [{name: row[name] for name in row if name not in volatile} for row in rows]


def test_a_replay_of_every_event_changes_nothing(conversation: Conversation) -> None:
    deliver(charge("https://stripe/old", created=1), paid(conversation), charge())
    before = everything()
    call_command("replay_events", "--force", stdout=StringIO())
    assert everything() == before


def test_a_receipt_outlives_the_events_that_told_it(conversation: Conversation) -> None:
    deliver(charge(), paid(conversation))
    long_ago = timezone.now() - timedelta(days=40)
    StripeEvent.objects.update(created_at=long_ago, settled_at=long_ago)
    call_command("prune_events", "--older-than", "30", stdout=StringIO())
    assert not StripeEvent.objects.exists()
    assert url_of_order() == URL


@pytest.mark.parametrize("pruned", [True, False])
def test_an_erased_persons_receipts_are_forgotten(conversation: Conversation, pruned: bool) -> None:
    deliver(charge(), paid(conversation))
    other = ConversationFactory.create()
    deliver(stripe.completed(other))
    Order.objects.filter(conversation=other).update(receipt_url="https://stripe/other")
    if pruned:
        StripeEvent.objects.all().delete()
    call_command("erase_user", conversation.user.email, stdout=StringIO())
    assert sorted(Order.objects.values_list("receipt_url", flat=True)) == [
        "",
        "https://stripe/other",
    ]
    call_command("replay_events", "--force", stdout=StringIO())
    assert not Order.objects.filter(receipt_url=URL).exists()
    deliver(charge("https://stripe/late", "charge.updated"))
    call_command("prune_personal_data", stdout=StringIO())
    assert Order.objects.get(conversation=conversation).receipt_url == ""


@pytest.mark.postgres
def test_the_statement_finds_what_the_query_finds(conversation: Conversation) -> None:
    told = [
        *(charge(url, created=1_700_000_000 + n) for n, url in enumerate(STRANGE)),
        charge("https://stripe/5", created=1_600_000_000),
        charge("https://stripe/4", "charge.updated", created=1_600_000_000),
        charge("https://stripe/none", created=None),
        charge("https://stripe/a", created=1_900_000_000, account="acct_1"),
        charge("https://stripe/live", created=1_900_000_000, livemode=True),
        stripe.event("charge.refunded", stripe.refunded_charge(PAYMENT, receipt_url="https://x")),
    ]
    for livemode, count in itertools.product((False, True), range(len(told) + 1)):
        StripeEvent.objects.all().delete()
        for event in told[:count]:
            log.record(event)
        parameters = {"payment_intent_id": PAYMENT, "livemode": livemode}
        found = prepared_sql.fetch(receipts.NEWEST, parameters)
        assert (found[0][0] if found else "") == receipts.newest(PAYMENT, livemode=livemode)
    assert connection.vendor == "postgresql"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_concurrent_events_lose_no_receipt(conversation: Conversation, round_: int) -> None:
    events = [paid(conversation), charge()]
    concurrently(*(lambda event=event: deliver(event) for event in events))
    assert url_of_order() == URL
