"""What the ledger is worth: from its events, in any order, everything else comes out again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from apikeys.models import ApiKey, Grant
from billing.models import Dispute, Order, Refund, StripeEvent
from billing.tests.stress_scripts import NOTHING, SCRIPTS, Payment, deliveries, expired, payments
from billing.tests.test_commands import everything, run
from conversations.models import Conversation, PaymentStatus
from testing import stripe_events as stripe
from testing.factories import ConversationFactory

pytestmark = pytest.mark.django_db

Row = dict[str, Any]

# What another database's row of the same event has in common with ours.
AS_STRIPE_SENT_IT = (
    "event_id",
    "type",
    "livemode",
    "api_version",
    "payload",
    "object_id",
    "payment_intent_id",
)
# Numbers that a database gives itself, and times.
OWN = {"id", "order_id", "last_event_id", "created_at", "updated_at"}
OF_ITS_OWN_VALUE = {"grant_id", "paid_at", "refunded_at", "revoked_at", "suspended_at"}


def told_payments() -> list[Payment]:
    """One of every script, each with a conversation that has been given its link."""
    made = [ConversationFactory.create() for _ in SCRIPTS]
    told = payments([(conversation.pk, conversation.user_id) for conversation in made])
    for conversation, payment in zip(made, told, strict=True):
        conversation.mark_pending(payment.session_id)
    return told


def facts(rows: Any) -> list[Row]:
    """The rows without what is a database's own; of a key and of a moment, whether there is one."""
    return [
        {
            name: value is not None if name in OF_ITS_OWN_VALUE else value
            for name, value in row.items()
            if name not in OWN
        }
        for row in rows
    ]


def state() -> dict[str, list[Row]]:
    """All that the events brought about."""
    keys = ApiKey.objects.order_by("grant__orders__stripe_session_id")
    of_keys = ("user_id", "name", "revoked_at", "suspended_at")
    grants = Grant.objects.order_by("orders__stripe_session_id")
    of_grants = ("user_id", "tier", "revoked_at", "suspended_at", "stopped_at")
    return {
        "orders": facts(Order.objects.order_by("stripe_session_id").values()),
        "grants": facts(grants.values(*of_grants)),
        "keys": facts(keys.values(*of_keys)),
        "refunds": facts(Refund.objects.order_by("stripe_refund_id").values()),
        "disputes": facts(Dispute.objects.order_by("stripe_dispute_id").values()),
        "conversations": facts(Conversation.objects.order_by("pk").values("pk", "payment_status")),
        "events": facts(StripeEvent.objects.order_by("event_id").values("event_id", "status")),
    }


def carried_off(told: list[Payment], *, seed: int) -> list[StripeEvent]:
    """The ledger's events as another's rows, shuffled.

    Which of two payments came first is a fact that nothing but their order holds: they keep it.
    """
    rows = list(StripeEvent.objects.order_by("pk").values(*AS_STRIPE_SENT_IT))
    came = {row["event_id"]: number for number, row in enumerate(rows)}
    random.Random(seed).shuffle(rows)  # noqa: S311 - not a secret
    for payment in told:
        if not was_paid_twice(payment):
            continue
        own = {event["id"] for event in payment.all_events}
        places = [place for place, row in enumerate(rows) if row["event_id"] in own]
        in_turn = sorted((rows[place] for place in places), key=lambda row: came[row["event_id"]])
        for place, row in zip(places, in_turn, strict=True):
            rows[place] = row
    return [StripeEvent(**row) for row in rows]


def was_paid_twice(payment: Payment) -> bool:
    sessions = [event["data"]["object"] for event in payment.all_events]
    return len({each["id"] for each in sessions if each["object"] == "checkout.session"}) > 1


def how_many_orders(payment: Payment) -> int:
    orders = payment.expected[0]
    assert isinstance(orders, tuple)
    return len(orders)


def empty_database() -> None:
    """Users and conversations are left."""
    for model in (StripeEvent, Refund, Dispute, Order, ApiKey, Grant):
        model._default_manager.all().delete()


@pytest.mark.parametrize(("seed", "linked"), [(0, True), (1, True), (2, False)])
def test_another_database_with_the_same_events_comes_to_the_same_state(
    seed: int, linked: bool
) -> None:
    told = told_payments()
    for wave in deliveries(told, seed=seed):
        for event in wave:
            assert stripe.deliver(event).status_code == 200
    before = state()
    assert len(before["orders"]) == sum(how_many_orders(payment) for payment in told)
    copies = carried_off(told, seed=seed)
    empty_database()
    StripeEvent.objects.bulk_create(copies)
    Conversation.objects.update(payment_status="unpaid", stripe_session_id=None)
    if linked:
        for payment in told:
            Conversation.objects.get(pk=payment.conversation_id).mark_pending(payment.session_id)
    else:
        before["conversations"] = unless_linked(told, before["conversations"])
    run("replay_events")
    assert state() == before
    rows = everything()
    run("replay_events", "--force")
    assert everything() == rows


def unless_linked(told: list[Payment], conversations: list[Row]) -> list[Row]:
    """What no payment was recorded of stays unpaid where nobody knows of its session."""
    untold = {
        payment.conversation_id
        for payment in told
        if payment.expected == NOTHING or payment.script == expired.__name__
    }
    unpaid = {"payment_status": PaymentStatus.UNPAID}
    return [row | unpaid if row["pk"] in untold else row for row in conversations]
