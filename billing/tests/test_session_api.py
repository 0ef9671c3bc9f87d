"""`GET /api/checkout-sessions/{sessionId}`, and what orders and keys say has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import services
from billing.models import DisputeStatus, Order, OrderStatus
from billing.tests.conftest import FixedAnswer
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running
from testing import stripe_events as stripe
from testing.factories import ConversationFactory, UserFactory
from testing.keys import issued_key, paid_key

pytestmark = pytest.mark.django_db

ApiOf = Callable[[User], APIClient]


def path_of(session_id: str) -> str:
    return f"/api/checkout-sessions/{session_id}"


def link(api: APIClient, conversation: Conversation) -> str:
    body = {"conversationId": conversation.pk}
    return str(api.post("/api/payments/link", body, format="json").json()["sessionId"])


@pytest.mark.http
def test_it_completes_a_payment_whose_event_is_late(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    api = api_of(conversation.user)
    session_id = link(api, conversation)
    nothing_yet = {"sessionId": session_id, "state": "open", "order": None, "apiKeyId": None}
    assert api.get(path_of(session_id)).json() == nothing_yet
    local_stripe.pay(session_id)
    found = api.get(path_of(session_id)).json()
    order = Order.objects.get()
    assert (found["state"], found["apiKeyId"]) == ("completed", issued_key(order).pk)
    assert found["order"] == api.get(f"/api/orders/{order.pk}").json()
    shown = api.post(f"/api/api-keys/{found['apiKeyId']}/reveal")
    assert shown.status_code == 200
    assert api.get(path_of(session_id)).json()["order"]["id"] == order.pk


@pytest.mark.http
def test_it_follows_a_delayed_payment_to_its_failure(
    conversation: Conversation, api_of: ApiOf, settings: Settings
) -> None:
    api = api_of(conversation.user)
    with running(webhook=None, delayed_method_delay=3600) as local_stripe:
        settings.STRIPE_API_BASE = local_stripe.url
        session_id = link(api, conversation)
        local_stripe.pay_by_debit(session_id, succeeds=False)
        assert api.get(path_of(session_id)).json()["state"] == "pending"
        local_stripe.advance_clock(2 * 3600)
        failed = api.get(path_of(session_id)).json()
    assert (failed["state"], failed["order"]["status"], failed["apiKeyId"]) == (
        *("failed", "failed"),
        None,
    )


@pytest.mark.http
def test_an_expired_session_says_so(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    api = api_of(conversation.user)
    first = link(api, conversation)
    link(api, conversation)  # ends the first
    assert api.get(path_of(first)).json()["state"] == "expired"


@pytest.mark.http
def test_another_users_session_is_like_one_that_does_not_exist(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    session_id = link(api_of(conversation.user), conversation)
    intruder = api_of(UserFactory.create())
    for _ in range(2):
        for each in (session_id, "cs_test_none", "cs_", "pi_1", "cs_a%0A"):
            response = intruder.get(path_of(each))
            assert (response.status_code, response.json()["code"]) == (404, "not_found")
        if not Order.objects.exists():
            local_stripe.pay(session_id)
            api_of(conversation.user).get(path_of(session_id))
    assert APIClient().get(path_of(session_id)).status_code == 401


@pytest.mark.usefixtures("in_one_minute")
@pytest.mark.http
def test_an_account_makes_this_server_ask_only_so_often(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf, settings: Settings
) -> None:
    api = api_of(conversation.user)
    session_id = link(api, conversation)
    settings.LINKS_PER_MINUTE = 4  # 2 before the first payment
    statuses = [api.get(path_of(session_id)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert int(api.get(path_of(session_id)).headers["Retry-After"]) <= 60


@pytest.mark.http
def test_a_stripe_that_fails_is_said(
    fixed_answer: type[FixedAnswer], conversation: Conversation, api_of: ApiOf
) -> None:
    response = api_of(conversation.user).get(path_of("cs_test_1"))
    assert (response.status_code, response.json()["code"]) == (500, "stripe_failed")


def test_orders_are_found_by_their_session(api_of: ApiOf, conversation: Conversation) -> None:
    paid_key(conversation)
    paid_key(other := ConversationFactory.create(user=conversation.user))
    api = api_of(conversation.user)
    session_id = other.orders.get().stripe_session_id
    (found,) = api.get("/api/orders", {"sessionId": session_id}).json()["orders"]
    assert found["sessionId"] == session_id
    assert api.get("/api/orders", {"sessionId": "cs_none"}).json()["orders"] == []
    assert api.get("/api/orders", {"sessionId": "x"}).status_code == 400


def test_an_order_says_what_became_of_its_money(api_of: ApiOf, conversation: Conversation) -> None:
    paid_key(conversation)
    order, api = conversation.orders.get(), api_of(conversation.user)
    intent = str(order.stripe_payment_intent_id)

    def said() -> tuple[Any, ...]:
        row = api.get(f"/api/orders/{order.pk}").json()
        return row["state"], row["refundedCents"], row["refundedAt"] is not None

    assert said() == ("completed", 0, False)
    stripe.deliver(stripe.event("refund.created", stripe.refund(intent, 500)))
    assert said() == ("partly_refunded", 500, False)
    stripe.deliver(stripe.event("refund.created", stripe.refund(intent, 1500)))
    assert said() == ("refunded", 2000, True)


@pytest.mark.parametrize("dispute", ["", *DisputeStatus.values])
def test_the_state_in_answers_is_that_of_the_model(
    api_of: ApiOf, conversation: Conversation, dispute: str
) -> None:
    paid_key(conversation)
    order, api = conversation.orders.get(), api_of(conversation.user)
    grant_id = order.grant_id
    for status in OrderStatus:
        for duplicate in (False, True):
            for refunded in (0, 500):
                for refunded_at in (None, timezone.now()):
                    Order.objects.update(
                        status=status,
                        grant=grant_id if status == OrderStatus.COMPLETED else None,
                        is_duplicate=duplicate,
                        refunded_cents=refunded,
                        refunded_at=refunded_at,
                        dispute_status=dispute,
                    )
                    order.refresh_from_db()
                    (row,) = api.get("/api/orders").json()["orders"]
                    assert row["state"] == order.state


def test_a_stopped_key_says_by_whom_and_why(api_of: ApiOf, conversation: Conversation) -> None:
    key = paid_key(conversation)
    intent = str(conversation.orders.get().stripe_payment_intent_id)
    api = api_of(conversation.user)

    def said() -> tuple[Any, ...]:
        (listed,) = api.get("/api/api-keys").json()["keys"]
        assert listed == api.get(f"/api/api-keys/{key.pk}").json()
        return listed["state"], listed["stoppedBy"], listed["stoppedReason"]

    assert said() == ("active", None, None)
    stripe.deliver(stripe.event("charge.dispute.created", stripe.dispute(intent)))
    assert said() == ("suspended", "payment", "The payment is disputed.")
    services.suspend(key.pk)
    assert said() == ("suspended", "support", None)
    services.stop_grant(key.grant_id, reason="Terms were broken.")
    assert said() == ("suspended", "support", "Terms were broken.")
