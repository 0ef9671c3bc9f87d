"""Nothing is told again, by whatever way a payment comes back, and no mail is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from apikeys.models import ApiKey, Grant
from billing import checkout
from billing.events.handlers import SUBSCRIPTION
from billing.models import CheckoutLink, Dispute, EventStatus, Order, Refund, StripeEvent
from billing.tests.test_commands import run
from conversations.models import Conversation
from notifications import mail
from notifications.models import MailStatus, Notification
from sandbox.testing import RunningSandbox
from testing import mail_server
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.mail_server import MailServer

pytestmark = [pytest.mark.http, pytest.mark.django_db]

DECLINED_CARD = "4000000000009995"


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server.running(settings) as running:
        yield running


def start(local_stripe: RunningSandbox, conversation: Conversation | None = None) -> str:
    conversation = conversation or ConversationFactory.create()
    return checkout.start_checkout(checkout.Customer.of(conversation.user), conversation.pk).id


def charge_of(local_stripe: RunningSandbox, session_id: str) -> str:
    intent = local_stripe.object(local_stripe.object(session_id)["payment_intent"])
    return str(intent["latest_charge"])


def subscribed(local_stripe: RunningSandbox) -> list[stripe.Json]:
    return [event for event in local_stripe.events() if event["type"] in SUBSCRIPTION]


def a_days_payments(local_stripe: RunningSandbox) -> None:
    """Payments with every kind of result: made at the local Stripe, whose events are delivered."""
    paid, refunded, disputed, lost, twice, delayed, returned, failed, declined = (
        start(local_stripe) for _ in range(9)
    )
    for session_id in (paid, refunded, disputed, lost, twice):
        local_stripe.pay(session_id)
    local_stripe.refund(charge_of(local_stripe, refunded), 500)
    local_stripe.refund(charge_of(local_stripe, refunded))
    for session_id, won in ((disputed, True), (lost, False)):
        dispute = local_stripe.dispute(charge_of(local_stripe, session_id))
        local_stripe.close_dispute(dispute["id"], won=won)
    for session_id in (delayed, returned):
        local_stripe.pay_by_debit(session_id)
    local_stripe.wait_idle()
    local_stripe.dispute(charge_of(local_stripe, delayed))
    local_stripe.refund(charge_of(local_stripe, returned))
    local_stripe.pay_by_debit(failed, succeeds=False)
    local_stripe.pay(declined, DECLINED_CARD)
    local_stripe.wait_idle()
    for event in subscribed(local_stripe):
        assert stripe.deliver(event).status_code == 200
    conversation = Conversation.objects.get(stripe_session_id=twice)
    stripe.deliver(stripe.completed(conversation))


def recover() -> None:
    since = timezone.now() - timedelta(hours=1)
    run("recover_payments", "--since", since.isoformat())


def deliver_again(local_stripe: RunningSandbox) -> None:
    for event in reversed(subscribed(local_stripe)):
        assert stripe.deliver(event).status_code == 200


def reconcile(local_stripe: RunningSandbox) -> None:
    """Ask Stripe for every session, as if no event had settled it."""
    CheckoutLink.objects.update(closed_at=None)
    before = len(local_stripe.requests())
    run("reconcile_orders", "--older-than", "0")
    assert len(local_stripe.requests()) >= before + CheckoutLink.objects.count()


def rebuild(local_stripe: RunningSandbox) -> None:
    """Lose orders, grants and keys, and handle the event log again; the outbox is kept."""
    for model in (Refund, Dispute, Order, ApiKey, Grant):
        model._default_manager.all().delete()
    StripeEvent.objects.update(status=EventStatus.RECEIVED)
    for conversation in Conversation.objects.all():
        session_id = CheckoutLink.objects.get(conversation_id=conversation.pk).stripe_session_id
        conversation.unpay()
        conversation.mark_pending(session_id)
    run("replay_events")


WAYS: dict[str, Callable[[RunningSandbox], Any]] = {
    "replay_events --force": lambda _: run("replay_events", "--force"),
    "reconcile_orders": reconcile,
    "fetch_events --from-start": lambda _: run("fetch_events", "--from-start"),
    "recover_payments": lambda _: recover(),
    "deliveries": deliver_again,
    "a rebuild": rebuild,
}


def outbox() -> list[Any]:
    return list(Notification.objects.order_by("pk").values())


def sent() -> list[str]:
    """What the worker sends now and within the next two hours."""
    outcomes = list(mail.send_due())
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=True):
        return outcomes + list(mail.send_due())


@pytest.mark.timeout(180)
def test_what_comes_back_is_not_told_again(
    local_stripe: RunningSandbox, server: MailServer
) -> None:
    a_days_payments(local_stripe)
    assert set(sent()) == {"sent"}
    told = outbox()
    assert {row["kind"] for row in told} >= {
        *("order.completed", "order.duplicate", "order.failed", "order.refunded"),
        *("payment.pending", "payment.declined", "dispute.opened", "dispute.closed", "key.issued"),
    }
    received = len(server.received)
    assert received == len({message["Message-ID"] for message in server.received})

    for way, repeat in WAYS.items():
        repeat(local_stripe)
        assert sent() == [], way
        assert outbox() == told, way
    assert len(server.received) == received


def test_a_day_without_the_mail_server_fails_no_request_and_loses_no_mail(
    settings: Settings,
) -> None:
    with mail_server.running(settings):
        pass  # its port refuses connections from now on
    began = timezone.now()
    causes = []
    for hour in range(0, 24, 2):
        with time_machine.travel(began + timedelta(hours=hour), tick=True):
            event = stripe.completed(ConversationFactory.create())
            assert stripe.deliver(event).status_code == 200
            client = Client()
            client.force_login(Order.objects.latest("pk").user)
            assert client.get("/keys").status_code == 200
            causes.append(event["data"]["object"]["id"])
            assert list(mail.send_due()) == ["without a mail server"]
    rows = Notification.objects.filter(kind="order.completed")
    assert set(rows.values_list("mail_status", flat=True)) == {MailStatus.WAITING}
    assert sum(rows.values_list("mail_attempts", flat=True)) <= len(causes)
    with (
        time_machine.travel(began + timedelta(days=1), tick=True),
        mail_server.running(settings) as server,
    ):
        assert list(mail.send_due()) == ["sent"] * len(causes)
    ids = [message["Message-ID"] for message in server.received]
    assert sorted(ids) == sorted(map(mail.message_id, rows))
    assert set(rows.values_list("cause", flat=True)) == set(causes)


def test_a_message_that_is_put_off_waits_longer_each_time_and_at_most_an_hour(
    server: MailServer,
) -> None:
    stripe.deliver(stripe.completed(ConversationFactory.create()))
    server.recipients = lambda address: "451 try again later"
    row = Notification.objects.get(kind="order.completed")
    pauses, now = [], timezone.now()
    for _ in range(9):
        with time_machine.travel(now, tick=False):
            assert list(mail.send_due()) == ["postponed"]
            assert list(mail.send_due()) == []
        row.refresh_from_db()
        assert row.mail_due_at is not None
        pauses.append(round((row.mail_due_at - now).total_seconds() / 60))
        now = row.mail_due_at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert row.mail_status == MailStatus.WAITING
