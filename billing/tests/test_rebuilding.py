"""Rebuild orders, grants, keys and conversations from the event log, in any order."""

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

# The columns of an event that do not depend on the database.
AS_STRIPE_SENT_IT = (
    "event_id",
    "type",
    "livemode",
    "api_version",
    "payload",
    "object_id",
    "payment_intent_id",
)
# Generated numbers and times, which are not compared.
GENERATED = {"id", "order_id", "last_event_id", "created_at", "updated_at"}
COMPARED_BY_PRESENCE = {"grant_id", "paid_at", "refunded_at", "revoked_at", "suspended_at"}


def create_payments() -> list[Payment]:
    """One payment of every script, each with a conversation with a link."""
    made = [ConversationFactory.create() for _ in SCRIPTS]
    scripted = payments([(conversation.pk, conversation.user_id) for conversation in made])
    for conversation, payment in zip(made, scripted, strict=True):
        conversation.mark_pending(payment.session_id)
    return scripted


def comparable(rows: Any) -> list[Row]:
    """The rows without generated values; for grants and some times, whether there is one."""
    return [
        {
            name: value is not None if name in COMPARED_BY_PRESENCE else value
            for name, value in row.items()
            if name not in GENERATED
        }
        for row in rows
    ]


def state() -> dict[str, list[Row]]:
    """Everything that the events caused."""
    keys = ApiKey.objects.order_by("grant__orders__stripe_session_id")
    of_keys = ("user_id", "name", "revoked_at", "suspended_at")
    grants = Grant.objects.order_by("orders__stripe_session_id")
    of_grants = ("user_id", "tier", "revoked_at", "suspended_at", "stopped_at")
    return {
        "orders": comparable(Order.objects.order_by("stripe_session_id").values()),
        "grants": comparable(grants.values(*of_grants)),
        "keys": comparable(keys.values(*of_keys)),
        "refunds": comparable(Refund.objects.order_by("stripe_refund_id").values()),
        "disputes": comparable(Dispute.objects.order_by("stripe_dispute_id").values()),
        "conversations": comparable(
            Conversation.objects.order_by("pk").values("pk", "payment_status")
        ),
        "events": comparable(StripeEvent.objects.order_by("event_id").values("event_id", "status")),
    }


def shuffled_copies(scripted: list[Payment], *, seed: int) -> list[StripeEvent]:
    """The event log's events as new rows, shuffled.

    Events of a conversation that was paid twice keep their order: it decides which payment counts.
    """
    rows = list(StripeEvent.objects.order_by("pk").values(*AS_STRIPE_SENT_IT))
    position = {row["event_id"]: number for number, row in enumerate(rows)}
    random.Random(seed).shuffle(rows)  # noqa: S311 - not a secret
    for payment in scripted:
        if not was_paid_twice(payment):
            continue
        own = {event["id"] for event in payment.all_events}
        places = [place for place, row in enumerate(rows) if row["event_id"] in own]
        in_order = sorted(
            (rows[place] for place in places), key=lambda row: position[row["event_id"]]
        )
        for place, row in zip(places, in_order, strict=True):
            rows[place] = row
    return [StripeEvent(**row) for row in rows]


def was_paid_twice(payment: Payment) -> bool:
    sessions = [event["data"]["object"] for event in payment.all_events]
    return len({each["id"] for each in sessions if each["object"] == "checkout.session"}) > 1


def count_orders(payment: Payment) -> int:
    orders = payment.expected[0]
    assert isinstance(orders, tuple)
    return len(orders)


def empty_database() -> None:
    """Delete everything but users and conversations."""
    for model in (StripeEvent, Refund, Dispute, Order, ApiKey, Grant):
        model._default_manager.all().delete()


@pytest.mark.parametrize(("seed", "linked"), [(0, True), (1, True), (2, False)])
def test_replaying_the_event_log_rebuilds_the_same_state(seed: int, linked: bool) -> None:
    scripted = create_payments()
    for wave in deliveries(scripted, seed=seed):
        for event in wave:
            assert stripe.deliver(event).status_code == 200
    before = state()
    assert len(before["orders"]) == sum(count_orders(payment) for payment in scripted)
    copies = shuffled_copies(scripted, seed=seed)
    empty_database()
    StripeEvent.objects.bulk_create(copies)
    Conversation.objects.update(payment_status="unpaid", stripe_session_id=None)
    if linked:
        for payment in scripted:
            Conversation.objects.get(pk=payment.conversation_id).mark_pending(payment.session_id)
    else:
        before["conversations"] = unless_linked(scripted, before["conversations"])
    run("replay_events")
    assert state() == before
    rows = everything()
    run("replay_events", "--force")
    assert everything() == rows


def unless_linked(scripted: list[Payment], conversations: list[Row]) -> list[Row]:
    """Without a link, a conversation without a recorded payment stays unpaid."""
    unpaid_ids = {
        payment.conversation_id
        for payment in scripted
        if payment.expected == NOTHING or payment.script == expired.__name__
    }
    unpaid = {"payment_status": PaymentStatus.UNPAID}
    return [row | unpaid if row["pk"] in unpaid_ids else row for row in conversations]
