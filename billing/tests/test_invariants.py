"""`check_invariants` finds each way in which rows can disagree, and nothing in what payments do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from apikeys.models import ApiKey, Grant
from billing import invariants, reversals
from billing.models import (
    CheckoutLink,
    DisputeStatus,
    ImportedPayment,
    Order,
    OrderStatus,
    Refund,
    StripeEvent,
)
from conversations.models import Conversation
from notifications.models import Notification
from testing import stripe_events as stripe
from testing.factories import ConversationFactory, UserFactory
from testing.links import completed, linked_session

pytestmark = pytest.mark.django_db


def check() -> list[str]:
    """The rules that are broken."""
    return sorted({violation.rule for violation in invariants.violations()})


def refund_in_part(order: Order) -> None:
    refund = stripe.refund(order.stripe_payment_intent_id or "", 500)
    stripe.deliver(stripe.event("refund.created", refund))


def dispute(order: Order, status: str = "needs_response") -> None:
    told = stripe.dispute(order.stripe_payment_intent_id or "", status)
    stripe.deliver(stripe.event("charge.dispute.created", told))


def import_payment(order: Order, payment_intent_id: str, **fields: Any) -> None:
    grant = Grant.objects.create(user=order.user)
    ImportedPayment.objects.create(
        stripe_payment_intent_id=payment_intent_id, grant=grant, **fields
    )


def untell(kind: str) -> None:
    assert Notification.objects.filter(kind=kind).delete()[0] == 1


@pytest.fixture
def order(conversation: Conversation) -> Order:
    stripe.deliver(completed(conversation))
    return Order.objects.get()


def test_whatever_payments_do_holds(order: Order) -> None:
    refund_in_part(order)
    stripe.deliver(stripe.completed(order.conversation))
    lost = ConversationFactory.create()
    stripe.deliver(stripe.completed(lost))
    dispute(lost.orders.get(), "lost")
    open_ = ConversationFactory.create()
    stripe.deliver(stripe.completed(open_))
    dispute(open_.orders.get())
    stripe.deliver(stripe.completed(ConversationFactory.create(), payment_status="unpaid"))
    assert check() == []


def breaks(order: Order) -> dict[str, list[Callable[[], object]]]:
    """By rule: the steps that break it."""
    stranger = UserFactory.create()
    other = Grant.objects.create(user=stranger)
    now = timezone.now()
    return {
        "paid conversation without an order that stands": [
            lambda: Order.objects.update(dispute_status="lost"),
        ],
        "conversation that is not paid and has a good order": [
            lambda: Conversation.objects.update(payment_status="unpaid"),
        ],
        "conversation with two orders that stand": [
            lambda: stripe.deliver(stripe.completed(order.conversation)),
            lambda: Order.objects.update(is_duplicate=False),
        ],
        "good order without a grant": [lambda: Order.objects.update(grant=None)],
        "order of another user than its conversation": [
            lambda: Conversation.objects.update(user=stranger),
        ],
        "order of another user than its grant": [lambda: Grant.objects.update(user=stranger)],
        "key of another user than its grant": [lambda: ApiKey.objects.update(user=stranger)],
        "grant of an order without a key": [lambda: ApiKey.objects.update(grant=other)],
        "grant that is revoked and has an order that stands": [
            lambda: Grant.objects.update(revoked_at=now),
        ],
        "grant that is not revoked and has no order that stands": [
            lambda: Order.objects.update(is_duplicate=True),
        ],
        "grant that is suspended without an open dispute": [
            lambda: Grant.objects.update(suspended_at=now),
        ],
        "grant that is not suspended in an open dispute": [
            lambda: dispute(order),
            lambda: Grant.objects.update(suspended_at=None),
        ],
        "order whose refunded sum is not that of its refunds": [
            lambda: refund_in_part(order),
            lambda: Refund.objects.update(amount_cents=400),
        ],
        "order that is fully refunded and has no time of it, or the reverse": [
            lambda: Order.objects.update(refunded_at=now),
        ],
        "order that needs a review and is not completed": [
            lambda: stripe.deliver(
                stripe.completed(ConversationFactory.create(), payment_status="unpaid")
            ),
            lambda: Order.objects.update(needs_review=True),
        ],
        "link of another user than its conversation": [
            lambda: CheckoutLink.objects.update(user=stranger),
        ],
        "open link whose order is completed or failed": [
            lambda: CheckoutLink.objects.update(closed_at=None),
        ],
        "open link of a session whose expiry was processed": [
            lambda: stripe.deliver(
                stripe.event(
                    "checkout.session.expired",
                    linked_session(ConversationFactory.create(), status="expired"),
                )
            ),
            lambda: CheckoutLink.objects.update(closed_at=None),
        ],
        "imported payment that has an order": [
            lambda: import_payment(order, order.stripe_payment_intent_id or ""),
        ],
        "imported grant that is not as its refund and dispute": [
            lambda: import_payment(order, "pi_imported", refunded_at=now),
        ],
        "processed payment event without its order": [
            lambda: StripeEvent.objects.update(object_id="cs_other"),
        ],
        "processed refund event without its refund": [
            lambda: refund_in_part(order),
            lambda: Refund.objects.all().delete(),
        ],
        "processed dispute event without its dispute": [
            lambda: dispute(order),
            lambda: order.disputes.all().delete(),
        ],
        "order that was not told": [lambda: untell("order.completed")],
        "order whose key was not told": [lambda: untell("key.issued")],
        "refund that was not told": [
            lambda: refund_in_part(order),
            lambda: untell("order.refunded"),
        ],
        "failed refund that was not told": [
            lambda: refund_in_part(order),
            lambda: Refund.objects.update(status="failed"),
        ],
        "dispute that was not told": [lambda: dispute(order), lambda: untell("dispute.opened")],
        "decided dispute that was not told": [
            lambda: dispute(order, "lost"),
            lambda: untell("dispute.closed"),
        ],
        "outbox row about a payment that has no order": [
            lambda: Notification.objects.filter(kind="order.completed").update(cause="cs_other"),
        ],
    }


@pytest.mark.parametrize("rule", sorted(set(invariants.RULES) - {"session with two orders"}))
def test_each_rule_is_seen_broken(order: Order, rule: str) -> None:
    assert check() == []
    for step in breaks(order)[rule]:
        step()
    assert rule in check()


def test_two_orders_of_a_session_are_seen_where_the_constraint_is_missing(order: Order) -> None:
    query = invariants.RULES["session with two orders"]
    with connection.cursor() as cursor:
        cursor.execute(
            query.replace(
                "FROM orders o", "FROM (SELECT * FROM orders UNION ALL SELECT * FROM orders) o"
            )
        )
        assert cursor.fetchall() == [(order.pk,)]


@pytest.mark.django_db(transaction=True)
def test_the_command_prints_a_line_for_each_violation_and_fails(order: Order) -> None:
    out = StringIO()
    call_command("check_invariants", stdout=out)
    assert out.getvalue() == f"{len(invariants.RULES)} rules hold.\n"
    Grant.objects.update(revoked_at=timezone.now())
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("check_invariants", stdout=out)
    assert failure.value.returncode == 1
    assert out.getvalue() == (
        f"grant that is revoked and has an order that stands: {order.grant_id}\n"
    )


def selected(condition: str) -> set[int]:
    """The orders that a condition of the rules selects."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT o.id FROM orders o WHERE {condition}")  # noqa: S608 - a constant
        return {row[0] for row in cursor.fetchall()}


def test_the_rules_mean_by_a_good_order_and_an_open_dispute_what_the_models_mean(
    conversation: Conversation,
) -> None:
    kinds = itertools.product(
        OrderStatus.values, (None, timezone.now()), ("", "a_new_one", *DisputeStatus), (False, True)
    )
    Order.objects.bulk_create(
        Order(
            user_id=conversation.user_id,
            conversation=conversation,
            stripe_session_id=f"cs_test_of_kind_{number}",
            amount_cents=2000,
            status=status,
            refunded_at=refunded_at,
            dispute_status=dispute_status,
            is_duplicate=is_duplicate,
        )
        for number, (status, refunded_at, dispute_status, is_duplicate) in enumerate(kinds)
    )
    orders = list(Order.objects.all())
    good = {order.pk for order in orders if order.is_good}
    assert (
        selected(invariants._GOOD) == good == set(Order.objects.good().values_list("pk", flat=True))
    )
    assert selected(invariants._STANDING) == {
        order.pk for order in orders if order.is_good and not order.is_duplicate
    }
    disputed = {order.pk for order in orders if order.is_disputed}
    assert selected(invariants._OPEN_DISPUTE) == disputed
    assert 0 < len(disputed) < len(orders)
    assert 0 < len(good) < len(orders)


def test_the_rules_count_the_refunds_that_the_models_count(order: Order) -> None:
    statuses = (*reversals.REFUND_ORDER, "a_new_one")
    Refund.objects.bulk_create(
        Refund(order=order, stripe_refund_id=status, amount_cents=1, currency="usd", status=status)
        for status in statuses
    )
    for condition, counted in (
        (invariants._COUNTED, reversals.COUNTED_REFUNDS),
        (invariants._FAILED, reversals.FAILED_REFUNDS),
    ):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT r.status FROM refunds r WHERE {condition}")  # noqa: S608
            assert {row[0] for row in cursor.fetchall()} == set(counted)
