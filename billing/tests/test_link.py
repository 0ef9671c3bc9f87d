"""`POST /api/payments/link`, through the real SDK, against the local Stripe over loopback."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe as stripe_sdk
from django.db import connections
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from billing import checkout
from billing.models import CheckoutLink, Order
from billing.stripe import client
from billing.tests.conftest import FixedAnswer
from conversations.models import Conversation, PaymentStatus
from restapi.problem_codes import PROBLEM_CODES
from sandbox.testing import RunningSandbox, running
from testing.clients import bearer
from testing.stripe_events import completed, deliver

pytestmark = [pytest.mark.django_db, pytest.mark.http]

URL = "/api/payments/link"
ApiOf = Callable[[User], APIClient]


@pytest.fixture(scope="module")
def local_stripe() -> Iterator[RunningSandbox]:
    with running(webhook=None, prices={"price_basic": "basic"}) as stripe:
        yield stripe


@pytest.fixture
def stripe(local_stripe: RunningSandbox, settings: Settings) -> RunningSandbox:
    settings.STRIPE_API_BASE = local_stripe.url
    return local_stripe


@pytest.fixture
def own_stripe(settings: Settings) -> Iterator[RunningSandbox]:
    """A local Stripe of the test's own, to count its sessions."""
    with running(webhook=None) as stripe:
        settings.STRIPE_API_BASE = stripe.url
        yield stripe


def ask(client: APIClient, conversation_id: Any, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"conversationId": conversation_id, **body}
    return client.post(URL, body, format="json", headers=headers)


def assert_problem(response: Any, status: int, code: str) -> None:
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code


def test_a_link_creates_a_session_with_the_metadata_that_the_webhook_needs(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    response = ask(api_of(conversation.user), conversation.pk)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"url", "sessionId"}
    session = stripe.object(body["sessionId"])
    assert body["url"] == session["url"]
    assert session["mode"] == "payment"
    assert session["success_url"] == (
        "http://testserver/payments/success?session_id={CHECKOUT_SESSION_ID}"
    )
    assert session["cancel_url"] == "http://testserver/payments/cancel"
    assert session["customer_email"] == conversation.user.email
    assert session["client_reference_id"] == str(conversation.pk)
    assert session["metadata"] == {
        "user_id": str(conversation.user_id),
        "conversation_id": str(conversation.pk),
        "tier": "premium",
        "link_id": CheckoutLink.objects.get().link_id,
    }
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PENDING
    assert conversation.stripe_session_id == body["sessionId"]
    assert not Order.objects.exists()


def test_the_payment_intent_carries_the_same_metadata(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    session_id = ask(api_of(conversation.user), conversation.pk).json()["sessionId"]
    stripe.pay(session_id)
    session = stripe.object(session_id)
    assert stripe.object(session["payment_intent"])["metadata"] == session["metadata"]


@pytest.mark.parametrize(
    ("tier", "price"), [("premium", "price_sandbox_premium"), ("basic", "price_basic")]
)
def test_each_tier_has_its_own_price(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf, tier: str, price: str
) -> None:
    response = ask(api_of(conversation.user), conversation.pk, tier=tier)
    session = stripe.object(response.json()["sessionId"])
    assert session["metadata"]["tier"] == tier
    assert session["amount_total"] == stripe.object(price)["unit_amount"]


def test_an_unknown_tier_is_reported_by_a_pointer(
    conversation: Conversation, api_of: ApiOf
) -> None:
    response = ask(api_of(conversation.user), conversation.pk, tier="gold")
    assert_problem(response, 400, "validation_failed")
    assert response.json()["errors"] == [
        {"pointer": "/tier", "code": "unknown_tier", "detail": "There is no tier gold."}
    ]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"conversationId": null}',
        '{"conversationId": "abc"}',
        '{"conversationId": true}',
        '{"conversationId": [1]}',
        '{"conversationId": {"a": 1}}',
        "[]",
        "null",
        "1",
        "not json",
        '{"conversationId": 0}',
        '{"conversationId": -1}',
        '{"conversationId": 1.5}',
        "",
        '{"conversationId": 1, "tier": null}',
        '{"conversationId": 1, "tier": ""}',
    ],
)
def test_a_bad_body_is_a_400_problem(stranger: User, api_of: ApiOf, body: str) -> None:
    response = api_of(stranger).post(URL, body, content_type="application/json")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] in ("validation_failed", "parse_error")


def test_a_form_is_not_json(stranger: User, api_of: ApiOf) -> None:
    response = api_of(stranger).post(URL, {"conversationId": 1}, format="multipart")
    assert_problem(response, 415, "unsupported_media_type")


def test_an_anonymous_request_is_401(conversation: Conversation) -> None:
    response = ask(APIClient(), conversation.pk)
    assert_problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert_problem(ask(bearer("sk_" + "0" * 64), conversation.pk), 401, "authentication_failed")


@pytest.mark.parametrize("conversation_id", [None, 999_999_999, 10**18, 10**19, 10**40])
def test_a_foreign_or_missing_conversation_is_404(
    conversation: Conversation, stranger: User, api_of: ApiOf, conversation_id: int | None
) -> None:
    response = ask(api_of(stranger), conversation_id or conversation.pk)
    assert_problem(response, 404, "not_found")
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.UNPAID


def test_a_paid_conversation_is_409(conversation: Conversation, api_of: ApiOf) -> None:
    conversation.mark_paid("cs_test_paid")
    assert_problem(ask(api_of(conversation.user), conversation.pk), 409, "already_paid")


def test_a_failed_conversation_may_be_paid_again(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    conversation.fail()
    assert ask(api_of(conversation.user), conversation.pk).status_code == 200
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PENDING


def test_a_new_link_expires_the_one_it_replaces(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    first = ask(client, conversation.pk).json()["sessionId"]
    second = ask(client, conversation.pk).json()["sessionId"]
    assert first != second
    assert stripe.object(first)["status"] == "expired"
    assert stripe.object(second)["status"] == "open"
    conversation.refresh_from_db()
    assert conversation.stripe_session_id == second


def test_a_repeat_with_the_same_key_returns_the_same_session(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    first = ask(client, conversation.pk, key="order-1")
    second = ask(client, conversation.pk, key="order-1")
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert stripe.object(first.json()["sessionId"])["status"] == "open"


def test_a_repeat_of_a_replaced_link_does_not_undo_the_newer_one(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    assert ask(client, conversation.pk, key="old").status_code == 200
    newer = ask(client, conversation.pk).json()
    assert_problem(ask(client, conversation.pk, key="old"), 409, "session_expired")
    conversation.refresh_from_db()
    assert conversation.stripe_session_id == newer["sessionId"]
    assert stripe.object(newer["sessionId"])["status"] == "open"


def test_a_session_whose_payment_event_is_late_is_fulfilled_and_no_new_link_is_created(
    own_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    paid = ask(client, conversation.pk).json()["sessionId"]
    own_stripe.pay(paid)  # the webhook is late
    second = ask(client, conversation.pk)
    assert_problem(second, 409, "already_paid")
    assert statuses(own_stripe) == {paid: "complete", newest(own_stripe): "expired"}
    order = Order.objects.get()
    assert (order.stripe_session_id, order.status) == (paid, "completed")


def test_no_new_link_is_created_while_a_delayed_payment_is_pending(
    own_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    own_stripe.set_options(delayed_method_delay=60)
    client = api_of(conversation.user)
    first = ask(client, conversation.pk).json()["sessionId"]
    own_stripe.pay_by_debit(first)
    assert_problem(ask(client, conversation.pk), 409, "payment_under_way")
    assert_problem(ask(client, conversation.pk), 409, "payment_under_way")
    assert "open" not in statuses(own_stripe).values()
    conversation.refresh_from_db()
    assert (conversation.payment_status, conversation.stripe_session_id) == ("pending", first)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_payment_during_the_creation_of_a_link_wins(
    own_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    slow = own_stripe.add_fault(method="POST", path="/v1/checkout/sessions", delay=5.0)
    client = api_of(conversation.user)
    with ThreadPoolExecutor(1) as pool:
        link = pool.submit(ask_in_thread, client, conversation.pk)
        own_stripe.wait_for_fault(slow.id)  # it has read the conversation and waits for Stripe
        assert deliver(completed(conversation)).status_code == 200
        assert_problem(link.result(), 409, "already_paid")
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PAID
    assert set(statuses(own_stripe).values()) == {"expired"}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_eight_concurrent_links_one_stays_payable(
    own_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    clients = [api_of(conversation.user) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask_in_thread, clients, [conversation.pk] * 8))
    assert [answer.status_code for answer in answers] == [200] * 8
    conversation.refresh_from_db()
    open_ = [name for name, status in statuses(own_stripe).items() if status == "open"]
    assert open_ == [conversation.stripe_session_id]


def ask_in_thread(client: APIClient, conversation_id: int) -> Any:
    try:
        return ask(client, conversation_id)
    finally:
        connections.close_all()


def statuses(stripe: RunningSandbox) -> dict[str, str]:
    """The status of every Checkout Session, oldest first."""
    listed = client._client().v1.checkout.sessions.list({"limit": 100}).data
    return {str(session.id): str(session.status) for session in reversed(listed)}


def newest(stripe: RunningSandbox) -> str:
    return list(statuses(stripe))[-1]


def test_two_users_may_use_the_same_idempotency_key(
    stripe: RunningSandbox, conversation: Conversation, stranger: User, api_of: ApiOf
) -> None:
    other = Conversation.objects.create(user=stranger, title="theirs")
    first = ask(api_of(conversation.user), conversation.pk, key="the-same")
    second = ask(api_of(stranger), other.pk, key="the-same")
    assert first.json()["sessionId"] != second.json()["sessionId"]


def test_one_key_for_two_different_requests_is_refused(
    stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    assert ask(client, conversation.pk, key="k-1").status_code == 200
    response = ask(client, conversation.pk, key="k-1", tier="basic")
    assert_problem(response, 400, "idempotency_key_refused")


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "\xe9"])
def test_a_malformed_idempotency_key_is_refused(
    conversation: Conversation, api_of: ApiOf, key: str
) -> None:
    response = ask(api_of(conversation.user), conversation.pk, key=key)
    assert_problem(response, 400, "idempotency_key_refused")


def assert_nothing_changed(conversation: Conversation) -> None:
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.UNPAID
    assert conversation.stripe_session_id is None


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""),
        (200, b"not json"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"{}"),
        (200, b'{"id": "cs_test_1", "object": "checkout.session"}'),
        (200, b'{"id": 7, "object": "checkout.session", "url": {}}'),
        (200, b"\xff\xfe"),
        (204, b""),
        (302, b""),
        (400, b'{"error": {"type": "invalid_request_error", "message": "No such price"}}'),
        (401, b'{"error": {"message": "Invalid API Key provided"}}'),
        (402, b"{}"),
        (418, b"teapot"),
        (429, b'{"error": {"message": "slow down"}}'),
    ],
)
def test_an_unusable_answer_of_stripe_is_a_500_problem_and_changes_nothing(
    fixed_answer: type[FixedAnswer],
    conversation: Conversation,
    api_of: ApiOf,
    caplog: pytest.LogCaptureFixture,
    answer: tuple[int, bytes],
) -> None:
    fixed_answer.answer = answer
    with caplog.at_level(logging.ERROR):
        response = ask(api_of(conversation.user), conversation.pk)
    assert_problem(response, 500, "stripe_failed")
    assert "Stripe failed to create a Checkout Session" in caplog.text
    assert_nothing_changed(conversation)


def test_stripe_being_down_is_a_500_problem_and_changes_nothing(
    conversation: Conversation,
    api_of: ApiOf,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with caplog.at_level(logging.ERROR):
        response = ask(api_of(conversation.user), conversation.pk)
    assert_problem(response, 500, "stripe_failed")
    assert "APIConnectionError" in caplog.text
    assert_nothing_changed(conversation)


def test_a_failing_request_to_stripe_is_sent_three_times(
    fixed_answer: type[FixedAnswer], conversation: Conversation, api_of: ApiOf
) -> None:
    fixed_answer.answer, fixed_answer.asked = (500, b"{}"), 0
    assert ask(api_of(conversation.user), conversation.pk).status_code == 500
    assert fixed_answer.asked == 3


def test_the_sdk_has_short_timeouts_and_writes_no_telemetry(settings: Settings) -> None:
    assert (client.CONNECT_TIMEOUT, client.READ_TIMEOUT) == (2, 15)
    assert stripe_sdk.enable_telemetry is False


def test_a_timeout_of_stripe_is_a_500_problem_and_changes_nothing(
    conversation: Conversation, api_of: ApiOf, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and never answers
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{silent.getsockname()[1]}"
        response = ask(api_of(conversation.user), conversation.pk)
    assert_problem(response, 500, "stripe_failed")
    assert_nothing_changed(conversation)


def test_every_error_of_a_link_has_a_status_code() -> None:
    failures: list[type[client.StripeFailed]] = [client.StripeFailed]
    failures += client.StripeFailed.__subclasses__()
    codes = {failure.code for failure in failures}
    codes |= {error.code for error in checkout.CheckoutError.__subclasses__()}
    assert codes - {checkout.UnknownTier.code} <= set(PROBLEM_CODES)
