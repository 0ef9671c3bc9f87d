"""fetch_events and reconcile_orders against a local Stripe."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone

from apikeys.models import ApiKey
from billing import checkout
from billing.events import backfill
from billing.models import CheckoutLink, Order, OrderStatus, StripeEvent
from billing.tests.test_commands import everything, run
from conversations.models import Conversation, PaymentStatus
from sandbox.testing import RunningSandbox
from testing.factories import ConversationFactory

pytestmark = [pytest.mark.django_db, pytest.mark.http]


def start(conversation: Conversation) -> str:
    """Create a link and return the session's id."""
    customer = checkout.Customer.of(conversation.user)
    return checkout.start_checkout(customer, conversation.pk).id


# The charge's two events are stored for search and for the receipt.
PAYMENT_AND_ITS_CHARGE = "3 events: 2 ignored, 1 processed"


def paid(conversation: Conversation) -> bool:
    conversation.refresh_from_db()
    return conversation.is_paid


def age_everything_by_an_hour() -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    Conversation.objects.update(updated_at=hour_ago)
    Order.objects.update(updated_at=hour_ago)
    CheckoutLink.objects.update(created_at=hour_ago)


def test_undelivered_events_are_fetched_and_handled_once(
    conversation: Conversation, local_stripe: RunningSandbox
) -> None:
    session_id = start(conversation)
    local_stripe.pay(session_id)
    assert run("fetch_events") == PAYMENT_AND_ITS_CHARGE
    assert paid(conversation)
    assert ApiKey.objects.count() == 1
    before = everything()
    assert run("fetch_events") == "0 events"
    assert run("fetch_events", "--from-start") == PAYMENT_AND_ITS_CHARGE
    fetched_at = dict(StripeEvent.objects.values_list("event_id", "fetched_at"))
    for row in before["StripeEvent"]:
        row["fetched_at"] = fetched_at[row["event_id"]]
    assert everything() == before


def test_fetching_continues_where_it_stopped_oldest_first(
    conversation: Conversation, local_stripe: RunningSandbox
) -> None:
    session_id = start(conversation)
    local_stripe.pay(session_id)
    order_of_events = backfill.fetch()
    while next(order_of_events) != "processed":  # events of the charge come before
        pass
    order_of_events.close()  # interrupted before it recorded its position
    charge = local_stripe.object(local_stripe.object(session_id)["payment_intent"])["latest_charge"]
    local_stripe.refund(charge)
    local_stripe.wait_idle()
    run("fetch_events")
    assert not paid(conversation)
    assert Order.objects.get().refunded_cents == Order.objects.get().amount_cents
    fetched = StripeEvent.objects.exclude(fetched_at=None).order_by("fetched_at")
    created = [event.payload["created"] for event in fetched]
    assert created == sorted(created)
    kinds = [event.type for event in fetched]
    assert kinds.index("checkout.session.completed") < kinds.index("charge.refunded")
    assert run("fetch_events") == "0 events"


def test_more_than_a_page_is_fetched(local_stripe: RunningSandbox) -> None:
    conversations = [ConversationFactory.create() for _ in range(3)]
    for _ in range(35):  # 105 declined attempts, 102 sessions replaced
        for conversation in conversations:
            local_stripe.pay(start(conversation), "4000000000000002")
    assert run("fetch_events") == "207 events: 207 processed"
    events = StripeEvent.objects.order_by("pk")
    created = [event.payload["created"] for event in events]
    assert created == sorted(created)


def test_fetching_starts_over_if_stripe_no_longer_has_the_last_event(
    conversation: Conversation, local_stripe: RunningSandbox
) -> None:
    StripeEvent.objects.create(
        event_id="evt_of_last_year", type="x", payload={}, fetched_at=timezone.now()
    )
    local_stripe.pay(start(conversation))
    assert run("fetch_events") == PAYMENT_AND_ITS_CHARGE


def test_a_payment_without_events_is_found_by_reconciling(
    conversation: Conversation, local_stripe: RunningSandbox
) -> None:
    local_stripe.pay(start(conversation))
    assert run("reconcile_orders") == "0 sessions"  # its events may still arrive
    age_everything_by_an_hour()
    assert run("reconcile_orders") == "1 sessions: 1 order completed"
    assert paid(conversation)
    before = everything()
    age_everything_by_an_hour()
    assert run("reconcile_orders", "--older-than", 1) == "0 sessions"
    assert everything() == before


def test_reconciling_leaves_an_open_session_open_and_fails_an_expired_one(
    conversation: Conversation, local_stripe: RunningSandbox
) -> None:
    start(conversation)
    age_everything_by_an_hour()
    assert run("reconcile_orders") == "1 sessions: 1 session open"
    local_stripe.advance_clock(25 * 3600)
    assert run("reconcile_orders") == "1 sessions: 1 session expired"
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.FAILED


@pytest.mark.parametrize("succeeds", [True, False])
def test_reconciling_settles_a_delayed_payment(
    conversation: Conversation, local_stripe: RunningSandbox, succeeds: bool
) -> None:
    local_stripe.set_options(delayed_method_delay=3600)
    session_id = start(conversation)
    local_stripe.pay_by_debit(session_id, succeeds=succeeds)
    age_everything_by_an_hour()
    assert run("reconcile_orders") == "1 sessions: 1 order pending"
    assert Order.objects.get().status == OrderStatus.PENDING
    local_stripe.advance_clock(3601)
    local_stripe.wait_idle()
    age_everything_by_an_hour()
    assert run("reconcile_orders") == f"1 sessions: 1 order {'completed' if succeeds else 'failed'}"
    assert paid(conversation) is succeeds


def test_stripe_being_down_is_reported_and_changes_nothing(
    conversation: Conversation, local_stripe: RunningSandbox
) -> None:
    local_stripe.pay(start(conversation))
    age_everything_by_an_hour()
    before = everything()
    local_stripe.set_switches(api_error=403)
    with pytest.raises(CommandError, match="Stripe failed to list events"):
        run("fetch_events")
    with pytest.raises(CommandError, match="some failed"):
        run("reconcile_orders")
    assert everything() == before


@pytest.mark.postgres
def test_a_session_that_cannot_be_recorded_does_not_stop_the_others(
    local_stripe: RunningSandbox,
) -> None:
    refused, other = ConversationFactory.create(), ConversationFactory.create()
    for conversation in (refused, other):
        local_stripe.pay(start(conversation))
    age_everything_by_an_hour()
    with connection.cursor() as cursor:
        condition = f"CHECK (conversation_id <> {int(refused.pk)}) NOT VALID"
        cursor.execute(f"ALTER TABLE orders ADD CONSTRAINT full_up {condition}")
    with pytest.raises(CommandError, match="some failed"):
        run("reconcile_orders")
    assert paid(other)
    assert not paid(refused)
