"""Concurrent deliveries on a real PostgreSQL: one order, one key, no deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction

from apikeys import errors, services
from apikeys.models import ApiKey
from billing import fulfilment
from billing.models import Order, StripeEvent
from billing.stripe import objects
from conversations.models import Conversation, PaymentStatus
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.keys import issued_key

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def concurrently(*actions: Callable[[], Any]) -> list[Any]:
    """Run every action in its own thread, started together; an exception is a result."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        barrier.wait(timeout=10)
        try:
            return action()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def assert_paid_once(conversation: Conversation) -> None:
    order = Order.objects.get()
    assert order.status == "completed"
    assert ApiKey.objects.get() == issued_key(order)
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PAID


@pytest.mark.parametrize("round_", range(3))
def test_one_event_delivered_eight_times_concurrently(
    conversation: Conversation, round_: int, deadlocks: Callable[[], list[str]]
) -> None:
    event = stripe.completed(conversation)
    answers = concurrently(*[lambda: stripe.deliver(event).status_code] * 8)
    assert answers == [200] * 8
    stored = StripeEvent.objects.get()
    assert stored.attempts == 1
    assert "issued" in stored.outcome  # not "was completed before": only one handled it
    assert_paid_once(conversation)
    assert deadlocks() == []


@pytest.mark.parametrize("round_", range(3))
def test_two_different_events_for_one_payment_concurrently(
    conversation: Conversation, round_: int, deadlocks: Callable[[], list[str]]
) -> None:
    session = stripe.session(conversation)
    events = [
        stripe.event(kind, session)
        for kind in ("checkout.session.completed", "checkout.session.async_payment_succeeded") * 4
    ]
    answers = concurrently(*[lambda e=event: stripe.deliver(e).status_code for event in events])
    assert answers == [200] * 8
    assert_paid_once(conversation)
    assert deadlocks() == []


def test_the_success_page_and_the_webhook_concurrently(
    conversation: Conversation, deadlocks: Callable[[], list[str]]
) -> None:
    event = stripe.completed(conversation)
    session = objects.parse_session(event["data"]["object"])
    assert session is not None

    def success_page() -> None:
        with transaction.atomic():
            fulfilment.apply(session)

    results = concurrently(*[lambda: stripe.deliver(event).status_code, success_page] * 4)
    assert results == [200, None] * 4
    assert_paid_once(conversation)
    assert deadlocks() == []


def test_two_paid_sessions_of_one_conversation_concurrently_make_one_key(
    conversation: Conversation,
) -> None:
    events = [stripe.completed(conversation) for _ in range(6)]
    answers = concurrently(*[lambda e=event: stripe.deliver(e).status_code for event in events])
    assert answers == [200] * 6
    assert Order.objects.filter(is_duplicate=False).count() == 1
    assert Order.objects.filter(is_duplicate=True).count() == 5
    assert ApiKey.objects.count() == 1


def test_success_and_failure_concurrently_end_paid(db: None) -> None:
    conversations = [ConversationFactory.create() for _ in range(4)]
    actions = []
    for conversation in conversations:
        session = stripe.session(conversation)
        for kind in ("completed", "async_payment_failed", "expired"):
            event = stripe.event(f"checkout.session.{kind}", session)
            actions.append(lambda e=event: stripe.deliver(e).status_code)
    assert concurrently(*actions) == [200] * 12
    for conversation in conversations:
        conversation.refresh_from_db()
        assert conversation.payment_status == PaymentStatus.PAID


def test_one_of_eight_concurrent_reveals_wins(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    key = ApiKey.objects.get()

    def reveal() -> str:
        return services.reveal(user_id=conversation.user_id, key_id=key.pk)[1]

    results = concurrently(*[reveal] * 8)
    secrets = [result for result in results if isinstance(result, str)]
    assert len(secrets) == 1
    losers = [result for result in results if not isinstance(result, str)]
    assert all(isinstance(result, errors.AlreadyRevealed) for result in losers)
    key.refresh_from_db()
    assert secrets[0].startswith(key.key_prefix)


@pytest.mark.parametrize("round_", range(10))
def test_a_refund_concurrent_with_its_payment_is_never_lost(
    conversation: Conversation, round_: int, deadlocks: Callable[[], list[str]]
) -> None:
    session = stripe.session(conversation)
    intent = session["payment_intent"]
    refund = stripe.refund(intent)
    events = [
        stripe.event("checkout.session.completed", session),
        stripe.event("refund.created", {**refund, "status": "pending"}),
        stripe.event("charge.refunded", stripe.refunded_charge(intent)),
        stripe.event("charge.dispute.created", stripe.dispute(intent)),
    ] * 2
    answers = concurrently(*[lambda e=event: stripe.deliver(e).status_code for event in events])
    assert answers == [200] * 8
    assert set(StripeEvent.objects.values_list("status", flat=True)) == {"processed"}
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.UNPAID
    assert ApiKey.objects.get().state == "revoked"
    assert deadlocks() == []
