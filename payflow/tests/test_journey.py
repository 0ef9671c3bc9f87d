"""From a payment to a key over real HTTP: the application, Stripe's SDK and the local Stripe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.tokens import issue_access
from apikeys.models import ApiKey
from billing.models import EventStatus, Order, StripeEvent
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.http]


@pytest.fixture
def local_stripe(live_server: LiveServer, settings: Settings) -> Iterator[RunningSandbox]:
    secret = django_settings.STRIPE_WEBHOOK_SECRETS[0]
    webhook = f"{live_server.url}/api/webhooks/stripe"
    with running(webhook=webhook, webhook_secret=secret) as stripe:
        settings.STRIPE_API_BASE = stripe.url
        yield stripe


class Customer:
    """A REST client of the conversation's owner."""

    def __init__(self, server: LiveServer, token: str) -> None:
        self._base = server.url
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, **body: Any) -> requests.Response:
        return requests.request(
            method, f"{self._base}{path}", json=body or None, headers=self._headers, timeout=20
        )


def test_a_payment_becomes_a_key_that_works_until_it_is_deleted(
    live_server: LiveServer, local_stripe: RunningSandbox, conversation: Conversation
) -> None:
    customer = Customer(live_server, issue_access(conversation.user))
    assert customer("GET", "/api/api-keys").status_code == 403

    link = customer("POST", "/api/payments/link", conversationId=conversation.pk)
    assert link.status_code == 200
    outcome = local_stripe.pay(link.json()["sessionId"])
    assert outcome.status == "succeeded"

    path = f"/api/conversations/{conversation.pk}"
    assert customer("GET", path).json()["paymentStatus"] == "paid"
    (order,) = customer("GET", "/api/orders").json()["orders"]
    assert (order["status"], order["amountCents"], order["currency"]) == ("completed", 2000, "usd")
    (key,) = customer("GET", "/api/api-keys").json()["keys"]
    assert key["id"] == order["apiKeyId"]

    revealed = customer("POST", f"/api/api-keys/{key['id']}/reveal")
    assert revealed.status_code == 200
    assert customer("POST", f"/api/api-keys/{key['id']}/reveal").status_code == 409

    program = Customer(live_server, revealed.json()["key"])
    assert program("GET", path).status_code == 200
    again = program("POST", "/api/payments/link", conversationId=conversation.pk)
    assert again.status_code == 409
    assert program("DELETE", f"/api/api-keys/{key['id']}").json() == {"success": True}
    assert program("GET", path).status_code == 401


def test_every_event_of_the_payment_is_answered_200_and_stored(
    live_server: LiveServer, local_stripe: RunningSandbox, conversation: Conversation
) -> None:
    customer = Customer(live_server, issue_access(conversation.user))
    link = customer("POST", "/api/payments/link", conversationId=conversation.pk)
    local_stripe.pay(link.json()["sessionId"])
    local_stripe.wait_idle()
    deliveries = local_stripe.deliveries()
    assert {delivery.status for delivery in deliveries} == {200}
    kept = set(StripeEvent.objects.values_list("event_id", flat=True))
    assert kept == {event["id"] for event in local_stripe.events()}
    assert StripeEvent.objects.filter(type="checkout.session.completed").exists()


def test_after_a_declined_card_another_one_pays(
    live_server: LiveServer, local_stripe: RunningSandbox, conversation: Conversation
) -> None:
    customer = Customer(live_server, issue_access(conversation.user))
    link = customer("POST", "/api/payments/link", conversationId=conversation.pk)
    session_id = link.json()["sessionId"]
    assert local_stripe.pay(session_id, "4000000000000002").status != "succeeded"
    local_stripe.wait_idle()
    path = f"/api/conversations/{conversation.pk}"
    assert customer("GET", path).json()["paymentStatus"] == "failed"
    declined = StripeEvent.objects.get(type="payment_intent.payment_failed")
    assert declined.conversation == conversation
    assert "generic_decline" in declined.outcome
    assert not Order.objects.exists()

    assert local_stripe.pay(session_id).status == "succeeded"
    assert customer("GET", path).json()["paymentStatus"] == "paid"


def test_a_new_link_expires_the_old_one_and_the_conversation_stays_pending(
    live_server: LiveServer, local_stripe: RunningSandbox, conversation: Conversation
) -> None:
    customer = Customer(live_server, issue_access(conversation.user))
    first, second = (
        customer("POST", "/api/payments/link", conversationId=conversation.pk).json()["sessionId"]
        for _ in range(2)
    )
    local_stripe.wait_idle()  # the first one's checkout.session.expired has been delivered
    conversation.refresh_from_db()
    assert (conversation.payment_status, conversation.stripe_session_id) == ("pending", second)
    assert local_stripe.object(first)["status"] == "expired"


def test_the_success_page_fulfils_before_the_webhook_which_then_adds_no_key(
    live_server: LiveServer, local_stripe: RunningSandbox, conversation: Conversation
) -> None:
    local_stripe.set_options(ack_timeout=0.01)
    local_stripe.set_switches(drop=True)
    customer = Customer(live_server, issue_access(conversation.user))
    link = customer("POST", "/api/payments/link", conversationId=conversation.pk)
    local_stripe.pay(link.json()["sessionId"])
    assert not StripeEvent.objects.exists()

    page = _signed_in(live_server, conversation).get(
        f"{live_server.url}/payments/success",
        params={"session_id": link.json()["sessionId"]},
        timeout=20,
    )
    assert "Reveal key" in page.text
    assert ApiKey.objects.count() == 1
    assert not StripeEvent.objects.exists()

    local_stripe.set_switches()
    (completed,) = local_stripe.events("checkout.session.completed")
    local_stripe.resend(completed["id"])
    local_stripe.wait_idle()
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED
    assert Order.objects.count() == 1
    assert ApiKey.objects.count() == 1


def _signed_in(server: LiveServer, conversation: Conversation) -> requests.Session:
    user = conversation.user
    user.set_password("a password of the tests")
    user.save()
    browser = requests.Session()
    page = f"{server.url}/accounts/login/"
    browser.get(page, timeout=20)
    form = {
        "username": user.email,
        "password": "a password of the tests",
        "csrfmiddlewaretoken": browser.cookies["csrftoken"],
    }
    answer = browser.post(page, data=form, headers={"Referer": page}, timeout=20)
    assert answer.url == f"{server.url}/"
    return browser
