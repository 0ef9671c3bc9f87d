"""Search: finds rows by what a customer can give, and stores nothing of the text."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from apikeys import services, tokens
from billing.models import Order, StripeEvent
from billing.stripe import client
from conversations.models import Conversation
from support.tests.conftest import StaffClient
from testing import stripe_events
from testing.keys import issued_key

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
