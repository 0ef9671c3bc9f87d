"""The effect of each payment event on order, conversation and key."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from pytest_django.fixtures import Settings

from accounts.models import User
from apikeys.models import ApiKey
from billing import fulfilment
from billing.models import EventStatus, Order, OrderStatus, StripeEvent
from billing.stripe import objects
from conversations.models import Conversation, PaymentStatus
from testing import stripe_events as stripe
from testing.keys import issued_key

pytestmark = pytest.mark.django_db


def status_of(conversation: Conversation) -> str:
    conversation.refresh_from_db()
    return conversation.payment_status


def stored_event(kind: str) -> StripeEvent:
    return StripeEvent.objects.get(type=kind)


def test_a_paid_session_completes_order_conversation_and_key(conversation: Conversation) -> None:
    event = stripe.completed(conversation, amount_total=4999, currency="eur")
    session = event["data"]["object"]
    assert stripe.deliver(event).status_code == 200
    order = Order.objects.get()
    assert (order.user_id, order.conversation) == (conversation.user_id, conversation)
    assert order.stripe_session_id == session["id"]
    assert order.stripe_payment_intent_id == session["payment_intent"]
    assert (order.amount_cents, order.currency) == (4999, "eur")
    assert order.status == OrderStatus.COMPLETED
    assert order.paid_at is not None
    assert (order.tier, order.livemode, order.is_duplicate) == ("premium", False, False)
    assert status_of(conversation) == PaymentStatus.PAID
    assert conversation.stripe_session_id == session["id"]
    key = ApiKey.objects.get()
    assert issued_key(order) == key
    assert (key.grant.user_id, key.grant.tier) == (conversation.user_id, "premium")
    assert key.user_id == conversation.user_id
    assert key.name == "Auto-generated from payment"
    assert len(key.key_hash) == 64
    assert len(key.key_prefix) == 20
    assert key.revealed_at is None


def test_a_session_with_nothing_to_pay_counts_as_paid(conversation: Conversation) -> None:
    free = {"payment_status": "no_payment_required", "payment_intent": None, "amount_total": 0}
    assert stripe.deliver(stripe.completed(conversation, **free)).status_code == 200
    order = Order.objects.get()
    assert order.status == OrderStatus.COMPLETED
    assert order.stripe_payment_intent_id is None
    assert issued_key(order).state == "active"


def test_an_unpaid_completed_session_is_pending(conversation: Conversation) -> None:
    assert (
        stripe.deliver(stripe.completed(conversation, payment_status="unpaid")).status_code == 200
    )
    assert Order.objects.get().status == OrderStatus.PENDING
    assert status_of(conversation) == PaymentStatus.PENDING
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("payment_status", ["", None, "pending", "PAID", True])
def test_an_unknown_payment_status_does_not_count_as_paid(
    conversation: Conversation, payment_status: Any
) -> None:
    event = stripe.completed(conversation, payment_status=payment_status)
    assert stripe.deliver(event).status_code == 200
    assert Order.objects.get().status == OrderStatus.PENDING
    assert not ApiKey.objects.exists()


def test_a_delayed_payment_that_succeeds_completes_the_pending_order(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, payment_status="unpaid")
    stripe.deliver(stripe.event("checkout.session.completed", session))
    session = {**session, "payment_status": "paid"}
    stripe.deliver(stripe.event("checkout.session.async_payment_succeeded", session))
    order = Order.objects.get()
    assert order.status == OrderStatus.COMPLETED
    assert issued_key(order).state == "active"
    assert status_of(conversation) == PaymentStatus.PAID


def test_a_delayed_payment_that_fails_fails_order_and_conversation(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, payment_status="unpaid")
    stripe.deliver(stripe.event("checkout.session.completed", session))
    stripe.deliver(stripe.event("checkout.session.async_payment_failed", session))
    assert Order.objects.get().status == OrderStatus.FAILED
    assert status_of(conversation) == PaymentStatus.FAILED
    assert not ApiKey.objects.exists()


def test_a_failure_that_arrives_before_its_completion_stands(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, payment_status="unpaid")
    stripe.deliver(stripe.event("checkout.session.async_payment_failed", session))
    stripe.deliver(stripe.event("checkout.session.completed", session))
    assert Order.objects.get().status == OrderStatus.FAILED
    assert status_of(conversation) == PaymentStatus.FAILED


def test_a_success_that_arrives_before_its_completion_stands(conversation: Conversation) -> None:
    session = stripe.session(conversation)
    stripe.deliver(stripe.event("checkout.session.async_payment_succeeded", session))
    unpaid = {**session, "payment_status": "unpaid"}
    stripe.deliver(stripe.event("checkout.session.completed", unpaid))
    assert Order.objects.get().status == OrderStatus.COMPLETED
    assert status_of(conversation) == PaymentStatus.PAID


def test_an_expired_session_fails_its_pending_conversation(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, status="expired", payment_status="unpaid")
    conversation.mark_pending(session["id"])
    stripe.deliver(stripe.event("checkout.session.expired", session))
    assert status_of(conversation) == PaymentStatus.FAILED
    assert not Order.objects.exists()


def test_an_expired_session_that_was_replaced_fails_nothing(conversation: Conversation) -> None:
    session = stripe.session(conversation, status="expired", payment_status="unpaid")
    conversation.mark_pending("cs_test_a_newer_one")
    stripe.deliver(stripe.event("checkout.session.expired", session))
    assert status_of(conversation) == PaymentStatus.PENDING


def test_a_delayed_payment_that_fails_does_not_affect_a_newer_link(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, payment_status="unpaid")
    conversation.mark_pending("cs_test_a_newer_one")
    stripe.deliver(stripe.event("checkout.session.async_payment_failed", session))
    assert Order.objects.get().status == OrderStatus.FAILED
    assert status_of(conversation) == PaymentStatus.PENDING


@pytest.mark.parametrize(
    "kind", ["checkout.session.expired", "checkout.session.async_payment_failed"]
)
def test_a_failure_never_changes_a_paid_conversation(conversation: Conversation, kind: str) -> None:
    session = stripe.session(conversation)
    stripe.deliver(stripe.event("checkout.session.completed", session))
    stripe.deliver(stripe.event(kind, {**session, "payment_status": "unpaid"}))
    assert status_of(conversation) == PaymentStatus.PAID
    assert Order.objects.get().status == OrderStatus.COMPLETED


@pytest.mark.parametrize("kind", ["payment_intent.payment_failed", "payment_intent.failed"])
def test_a_declined_card_fails_the_conversation_and_records_its_reason_and_no_order(
    conversation: Conversation, kind: str
) -> None:
    conversation.mark_pending("cs_test_open")
    intent = stripe.declined_intent(conversation)
    assert stripe.deliver(stripe.event(kind, intent)).status_code == 200
    event = stored_event(kind)
    assert event.status == EventStatus.PROCESSED
    assert event.outcome == "Your card has insufficient funds. (insufficient_funds)"
    assert event.conversation == conversation
    assert event.payment_intent_id == intent["id"]
    assert not Order.objects.exists()
    assert status_of(conversation) == PaymentStatus.FAILED


def test_a_decline_that_arrives_after_the_success_changes_nothing(
    conversation: Conversation,
) -> None:
    stripe.deliver(stripe.completed(conversation))
    intent = stripe.declined_intent(conversation)
    stripe.deliver(stripe.event("payment_intent.payment_failed", intent))
    assert status_of(conversation) == PaymentStatus.PAID
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_a_failed_conversation_may_still_be_paid(conversation: Conversation) -> None:
    conversation.fail()
    stripe.deliver(stripe.completed(conversation))
    assert status_of(conversation) == PaymentStatus.PAID


def test_two_events_for_one_payment_make_one_order_and_one_key(conversation: Conversation) -> None:
    session = stripe.session(conversation)
    for kind in ("checkout.session.completed", "checkout.session.async_payment_succeeded"):
        assert stripe.deliver(stripe.event(kind, session)).status_code == 200
    assert Order.objects.count() == 1
    assert ApiKey.objects.count() == 1


def test_a_second_paid_session_is_a_duplicate_order_without_a_key(
    conversation: Conversation,
) -> None:
    first, second = stripe.completed(conversation), stripe.completed(conversation)
    stripe.deliver(first)
    stripe.deliver(second)
    duplicate = Order.objects.get(stripe_session_id=second["data"]["object"]["id"])
    assert duplicate.status == OrderStatus.COMPLETED
    assert duplicate.is_duplicate
    assert duplicate.grant is None
    assert ApiKey.objects.count() == 1
    conversation.refresh_from_db()
    assert conversation.stripe_session_id == first["data"]["object"]["id"]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        None,
        {"order_id": "42"},
        {"user_id": "1"},
        {"user_id": "abc", "conversation_id": "def"},
        {"user_id": "0", "conversation_id": "0"},
        {"user_id": "-1", "conversation_id": "1"},
        {"user_id": "1" * 30, "conversation_id": "1"},
        {"user_id": "\uff11", "conversation_id": "1"},
        {"user_id": ["1"], "conversation_id": {"a": 1}},
    ],
)
def test_another_products_payment_is_ignored(conversation: Conversation, metadata: Any) -> None:
    assert stripe.deliver(stripe.completed(conversation, metadata=metadata)).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.IGNORED
    assert not Order.objects.exists()


def test_another_modes_session_is_ignored(conversation: Conversation) -> None:
    assert stripe.deliver(stripe.completed(conversation, mode="subscription")).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.IGNORED


def test_a_payment_for_a_missing_conversation_is_unmatched(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    conversation.delete()
    assert stripe.deliver(event).status_code == 200
    stored = StripeEvent.objects.get()
    assert stored.status == EventStatus.UNMATCHED
    assert "There is no conversation" in stored.outcome


def test_a_payment_for_anothers_conversation_is_unmatched(
    conversation: Conversation, stranger: User
) -> None:
    metadata = {**stripe.reference(conversation), "user_id": str(stranger.pk)}
    assert stripe.deliver(stripe.completed(conversation, metadata=metadata)).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.UNMATCHED
    assert status_of(conversation) == PaymentStatus.UNPAID
    assert not Order.objects.exists()


def test_a_live_payment_on_a_test_server_is_unmatched(conversation: Conversation) -> None:
    event = stripe.completed(conversation, livemode=True)
    assert stripe.deliver({**event, "livemode": True}).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.UNMATCHED
    assert not Order.objects.exists()


def test_a_live_server_takes_live_payments(conversation: Conversation, settings: Settings) -> None:
    settings.STRIPE_LIVEMODE = True
    event = stripe.completed(conversation, livemode=True)
    stripe.deliver({**event, "livemode": True})
    assert Order.objects.get().livemode


def test_a_repeated_delivery_retries_an_unmatched_event(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    pk = conversation.pk
    Conversation.objects.filter(pk=pk).delete()
    stripe.deliver(event)
    Conversation.objects.create(pk=pk, user_id=conversation.user_id, title="restored")
    assert stripe.deliver(event).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED
    assert Order.objects.get().status == OrderStatus.COMPLETED


def test_an_open_session_with_nothing_to_pay_is_not_fulfilled_yet(
    conversation: Conversation,
) -> None:
    free = stripe.session(conversation, status="open", payment_status="no_payment_required")
    session = objects.parse_session(free)
    assert session is not None
    with transaction.atomic():
        assert fulfilment.apply(session).order is None
    assert not Order.objects.exists()


def test_metadata_without_a_tier_means_premium(conversation: Conversation) -> None:
    metadata = {
        name: value for name, value in stripe.reference(conversation).items() if name != "tier"
    }
    stripe.deliver(stripe.completed(conversation, metadata=metadata))
    assert Order.objects.get().tier == "premium"


def test_an_expanded_payment_intent_is_read_as_its_id(conversation: Conversation) -> None:
    intent = {"id": "pi_expanded", "object": "payment_intent"}
    stripe.deliver(stripe.completed(conversation, payment_intent=intent))
    assert Order.objects.get().stripe_payment_intent_id == "pi_expanded"
