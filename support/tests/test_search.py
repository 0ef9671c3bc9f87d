"""Search: finds rows by what a customer can give, and stores nothing of the text."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys import services, tokens
from billing.models import (
    CHARGE_TYPES,
    HELD_OF_CHARGE,
    HELD_OF_SESSION,
    PAID_TYPES,
    Order,
    StripeEvent,
)
from billing.stripe import client
from conversations.models import Conversation
from support.tests.conftest import StaffClient
from testing import stripe_events
from testing.keys import issued_key
from testing.plans import plan_with_only

URL = "/admin/search/"


def where(client: Client, text: str) -> str:
    """The one page that is found."""
    response = client.post(URL, {"q": text})
    assert response.status_code == 303, response.content
    return response.headers["Location"]


def test_a_user_is_found_by_email_in_any_case(support: Client, order: Order) -> None:
    page = f"/admin/accounts/user/{order.user_id}/change/"
    assert where(support, f" {order.user.email.upper()}, ") == page


def test_an_order_is_found_by_session_payment_and_event(support: Client, order: Order) -> None:
    page = f"/admin/billing/order/{order.pk}/"
    assert where(support, order.stripe_session_id) == page
    assert where(support, f"{order.stripe_payment_intent_id}_secret_abc") == page
    event = StripeEvent.objects.get()
    assert where(support, event.event_id) == f"/admin/billing/stripeevent/{event.pk}/"
    assert page.encode() in support.get(where(support, event.event_id)).content


def test_an_order_is_found_by_a_charge_that_an_event_names(support: Client, order: Order) -> None:
    charge = {"id": "ch_1", "object": "charge", "payment_intent": order.stripe_payment_intent_id}
    stripe_events.deliver(stripe_events.event("charge.succeeded", charge))
    assert where(support, "ch_1") == f"/admin/billing/order/{order.pk}/"


def test_an_order_is_found_by_a_charge_that_only_stripe_knows(
    support: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = order.stripe_payment_intent_id
    monkeypatch.setattr(client, "payment_intent_of", {"ch_9": intent_id}.get)
    assert where(support, "ch_9") == f"/admin/billing/order/{order.pk}/"


def test_a_declined_payment_leads_to_its_conversation(
    support: Client, conversation: Conversation
) -> None:
    intent = stripe_events.declined_intent(conversation, id="pi_declined")
    stripe_events.deliver(stripe_events.event("payment_intent.payment_failed", intent))
    page = f"/admin/conversations/conversation/{conversation.pk}/"
    assert where(support, "pi_declined") == page


def test_a_session_nobody_paid_leads_to_its_conversation(
    support: Client, conversation: Conversation
) -> None:
    conversation.mark_pending("cs_test_open")
    page = f"/admin/conversations/conversation/{conversation.pk}/"
    assert where(support, "cs_test_open") == page


def test_a_number_finds_whatever_has_it(support: Client, order: Order) -> None:
    page = support.post(URL, {"q": f"#{order.pk}"}, follow=True)
    assert f"Order {order.pk}" in page.content.decode()


def test_a_pasted_key_finds_its_row_and_is_not_stored_or_logged(
    support: Client, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = services.reveal(user_id=order.user_id, key_id=issued_key(order).pk)
    page = f"/admin/apikeys/apikey/{issued_key(order).pk}/"
    with caplog.at_level(logging.DEBUG):
        found = where(support, f'Authorization: Bearer "{secret}"')
    assert found == page
    assert secret not in caplog.text
    shown = support.get(page).content.decode()
    assert secret not in shown
    assert tokens.digest(secret) not in shown


def test_a_key_that_is_not_ours_is_not_repeated_on_the_page(support: Client, order: Order) -> None:
    unknown = "sk_" + "ab" * 32
    page = support.post(URL, {"q": unknown}).content.decode()
    assert "Nothing was found for a key." in page
    assert "abababab" not in page


@pytest.mark.parametrize("length", [10, 20, 45])
def test_the_start_of_a_key_finds_it(support: Client, order: Order, length: int) -> None:
    key, secret = services.reveal(user_id=order.user_id, key_id=issued_key(order).pk)
    assert where(support, secret[:length]) == f"/admin/apikeys/apikey/{key.pk}/"


@pytest.mark.parametrize("secret", ["sk_live_4eC39HqLyjWDar", "whsec_abcdef", "rk_test_123"])
def test_a_secret_of_stripe_is_refused_and_not_repeated(support: Client, secret: str) -> None:
    page = support.post(URL, {"q": f"is it {secret}?"}).content.decode()
    assert "secret of Stripe" in page
    assert secret not in page


def test_an_unknown_text_is_answered_with_what_can_be_searched_for(support: Client) -> None:
    assert "Type a whole email address" in support.post(URL, {"q": "hello"}).content.decode()


def test_a_null_character_is_no_error(support: Client) -> None:
    for text in ("a\0@b.example", "cs_\0"):
        assert support.post(URL, {"q": text}).status_code == 200


def test_nothing_is_searched_by_url(support: Client, order: Order) -> None:
    assert support.get(URL, {"q": order.stripe_session_id}).status_code == 405
    for app in ("billing/order", "apikeys/apikey", "accounts/user"):
        page = support.get(f"/admin/{app}/")
        assert 'name="q"' in page.content.decode()
        assert 'method="get"' not in page.content.decode()


@pytest.mark.parametrize(
    ("path", "lookup"),
    [
        ("apikeys/apikey", "key_hash__startswith"),
        ("accounts/user", "password__startswith"),
        ("billing/order", "user__password__startswith"),
    ],
)
def test_a_hash_cannot_be_revealed_by_filters(support: Client, path: str, lookup: str) -> None:
    assert support.get(f"/admin/{path}/", {lookup: "a"}).status_code == 400


def test_a_search_finds_only_rows_that_the_role_may_view(staff: StaffClient, order: Order) -> None:
    page = staff("none").post(URL, {"q": order.stripe_session_id})
    assert f"Order {order.pk}" not in page.content.decode()
    assert page.status_code == 200


def paid_with(conversation: Conversation, **fields: Any) -> Order:
    stripe_events.deliver(stripe_events.completed(conversation, **fields))
    return Order.objects.get(conversation=conversation)


def test_an_order_is_found_by_what_stripe_calls_its_customer_and_invoice(
    support: Client, conversation: Conversation
) -> None:
    order = paid_with(conversation, customer="cus_Q1w2", invoice="in_1Abc")
    page = f"/admin/billing/order/{order.pk}/"
    assert where(support, "customer cus_Q1w2.") == page
    assert where(support, "in_1Abc") == page
    assert support.post(URL, {"q": "cus_other"}).status_code == 200


def test_an_order_is_found_by_the_address_typed_at_checkout_in_any_case(
    support: Client, conversation: Conversation
) -> None:
    order = paid_with(conversation, customer_details={"email": "Other@Example.com"})
    assert where(support, "other@example.COM") == f"/admin/billing/order/{order.pk}/"
    assert where(support, conversation.user.email).startswith("/admin/accounts/user/")


def test_an_order_is_found_by_card_and_receipt_of_its_charge(support: Client, order: Order) -> None:
    charge = {
        "id": "ch_1",
        "object": "charge",
        "payment_intent": order.stripe_payment_intent_id,
        "payment_method_details": {"card": {"last4": "0341"}, "type": "card"},
        "receipt_number": "1230-7299",
    }
    stripe_events.deliver(stripe_events.event("charge.succeeded", charge))
    page = f"/admin/billing/order/{order.pk}/"
    assert where(support, "0341") == page
    assert where(support, "receipt #1230-7299") == page
    assert support.post(URL, {"q": "0342"}).status_code == 200


@pytest.mark.parametrize(
    ("amount", "is_found"),
    [("20.00", True), ("20", True), ("", True), ("2000", False), ("20.01", False)],
)
def test_an_order_is_found_by_amount_and_day(
    support: Client, order: Order, amount: str, is_found: bool
) -> None:
    Order.objects.update(created_at=datetime(2026, 3, 9, 23, 59, tzinfo=UTC))
    for text in (f"{amount} 2026-03-09", f"2026-03-09 {amount}"):
        answer = support.post(URL, {"q": text})
        assert (answer.status_code == 303) is is_found, text
    assert support.post(URL, {"q": f"{amount} 2026-03-10"}).status_code == 200
    assert support.post(URL, {"q": f"{amount} 2026-13-40"}).status_code == 200


def test_an_amount_counts_in_the_orders_currency(
    support: Client, conversation: Conversation
) -> None:
    order = paid_with(conversation, amount_total=2000, currency="jpy")
    day = f"{order.created_at:%Y-%m-%d}"
    assert where(support, f"2,000 {day}") == f"/admin/billing/order/{order.pk}/"
    assert support.post(URL, {"q": f"20.00 {day}"}).status_code == 200


def test_a_value_longer_than_an_index_holds_does_not_stop_the_payment(
    conversation: Conversation,
) -> None:
    details = {"email": f"{secrets.token_hex(5000)}@example.com"}
    assert paid_with(conversation, customer_details=details).status == "completed"


@pytest.mark.postgres
def test_each_search_of_payloads_is_served_by_its_index(db: None) -> None:
    for types, values in ((PAID_TYPES, HELD_OF_SESSION), (CHARGE_TYPES, HELD_OF_CHARGE)):
        for name, held in values.items():
            events = StripeEvent.objects.filter(type__in=types).alias(held=held).filter(held="x")
            index = f"stripe_events_{name}"
            with CaptureQueriesContext(connection) as queries:
                assert not events.first()
            assert index in plan_with_only(index, queries[0]["sql"])
