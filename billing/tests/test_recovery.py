"""`recover_payments`: what a restored backup lacks comes back from Stripe."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.models import ApiKey, Grant
from billing import checkout, invariants
from billing.models import CheckoutLink, Order, Refund, StripeEvent
from billing.stripe import client as stripe_client
from billing.tests.test_commands import everything, run
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running
from testing.clients import bearer
from testing.factories import ConversationFactory

pytestmark = [
    pytest.mark.http,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def stripe(live_server: Any, settings: Settings) -> Iterator[RunningSandbox]:
    """The local Stripe, which delivers its events to the server at once."""
    secret = settings.STRIPE_WEBHOOK_SECRETS[0]
    webhook = f"{live_server.url}/api/webhooks/stripe"
    with running(webhook=webhook, webhook_secret=secret) as sandbox:
        settings.STRIPE_API_BASE = sandbox.url
        yield sandbox


def pay(stripe: RunningSandbox, conversation: Conversation) -> str:
    customer = checkout.Customer.of(conversation.user)
    session_id = checkout.start_checkout(customer, conversation.pk).id
    stripe.pay(session_id)
    stripe.wait_idle()
    return session_id


def lose_everything_but(*conversations: Conversation) -> None:
    """Leave what a backup has that was made before any payment."""
    StripeEvent.objects.all().delete()
    Refund.objects.all().delete()
    CheckoutLink.objects.all().delete()
    Order.objects.all().delete()
    ApiKey.objects.all().delete()
    Grant.objects.all().delete()
    kept = [each.pk for each in conversations]
    Conversation.objects.exclude(pk__in=kept).delete()
    Conversation.objects.update(payment_status="unpaid", stripe_session_id=None)
    User.objects.exclude(conversations__pk__in=kept).delete()


def recover() -> list[str]:
    since = timezone.now() - timedelta(hours=1)
    return run("recover_payments", "--since", since.isoformat()).splitlines()


def test_delivered_payments_and_refunds_come_back_once(
    stripe: RunningSandbox, conversation: Conversation
) -> None:
    other = ConversationFactory.create()
    pay(stripe, conversation)
    session_id = pay(stripe, other)
    intent = stripe.object(stripe.object(session_id)["payment_intent"])
    stripe.refund(intent["latest_charge"])
    stripe.wait_idle()
    assert Order.objects.count() == 2
    lose_everything_but(conversation, other)
    assert run("fetch_events", "--from-start") == "0 events"  # they were delivered

    recover()
    orders = {order.conversation_id: order for order in Order.objects.all()}
    assert orders[conversation.pk].is_good
    assert orders[other.pk].refunded_at is not None
    conversation.refresh_from_db()
    assert conversation.is_paid
    assert list(invariants.violations()) == []
    before = everything()
    recover()
    assert everything() == before


def test_a_lost_key_is_revealed_anew(stripe: RunningSandbox, conversation: Conversation) -> None:
    pay(stripe, conversation)
    api = bearer(issue_access(conversation.user))
    (key,) = api.get("/api/api-keys").json()["keys"]
    lost = api.post(f"/api/api-keys/{key['id']}/reveal").json()["key"]
    lose_everything_but(conversation)
    recover()
    assert bearer(lost).get("/api/conversations").status_code == 401
    (key,) = api.get("/api/api-keys").json()["keys"]
    assert key["revealed"] is False
    anew = api.post(f"/api/api-keys/{key['id']}/reveal").json()["key"]
    assert bearer(anew).get("/api/conversations").status_code == 200


def test_a_payment_whose_events_stripe_has_forgotten_comes_back_from_its_session(
    stripe: RunningSandbox, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(stripe, conversation)
    lose_everything_but(conversation)
    monkeypatch.setattr("billing.events.backfill.EVENT_TYPES", ["charge.refunded"])
    recover()
    assert Order.objects.get().is_good


def test_users_and_conversations_that_are_missing_are_listed_and_their_ids_not_used_again(
    stripe: RunningSandbox, conversation: Conversation
) -> None:
    lost = ConversationFactory.create(user=conversation.user)
    of_lost_user = ConversationFactory.create()
    for each in (conversation, lost, of_lost_user):
        pay(stripe, each)
    lose_everything_but(conversation)
    with connection.cursor() as cursor:  # as a restored dump sets them
        for table, last in (("conversations", conversation.pk), ("users", conversation.user_id)):
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, last])
    lines = recover()
    assert lines[1:] == [
        f"conversation {lost.pk} of user {lost.user_id} is missing",
        f"user {of_lost_user.user_id}, with conversation {of_lost_user.pk}, is missing",
    ]
    assert Order.objects.get().conversation_id == conversation.pk
    new = ConversationFactory.create()
    assert new.pk > of_lost_user.pk
    assert new.user_id > of_lost_user.user_id


def test_a_stripe_that_fails_is_said_and_what_was_done_stays(
    stripe: RunningSandbox, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(stripe, conversation)
    lose_everything_but(conversation)
    monkeypatch.setattr(stripe_client, "RETRIES", 0)
    stripe_client._client_for.cache_clear()
    stripe.add_fault(method="GET", path="/v1/checkout/sessions", status=500)
    with pytest.raises(CommandError, match="Stripe failed to list Checkout Sessions"):
        recover()
    stripe_client._client_for.cache_clear()
    assert Order.objects.get().is_good
