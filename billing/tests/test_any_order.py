"""Whatever order the events of a payment arrive in, and however often: one result.

Left out are two decisions of one dispute within a second. Of two payments of one conversation the
first to be heard of gets the key: what is compared of them is the money of each, and that the key
is where it belongs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.models import ApiKey
from billing.models import EventStatus, Order, StripeEvent
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.factories import ConversationFactory, UserFactory
from testing.invariants import assert_invariants

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(1800)]

# `make soak` asks for more.
EXAMPLES = int(os.environ.get("STRESS_EXAMPLES", "15"))

Story = list[tuple[str, dict[str, Any]]]  # event types, and what is special about their object

PAYMENTS: list[Story] = [
    [("checkout.session.completed", {})],
    [
        ("checkout.session.completed", {"payment_status": "unpaid"}),
        ("checkout.session.async_payment_succeeded", {}),
    ],
    [
        ("checkout.session.completed", {"payment_status": "unpaid"}),
        ("checkout.session.async_payment_failed", {"payment_status": "unpaid"}),
    ],
    [
        ("payment_intent.payment_failed", {}),
        ("payment_intent.payment_failed", {}),
        ("checkout.session.completed", {}),
    ],
    # Noise that Stripe does not send together; success must win all the same.
    [
        ("checkout.session.async_payment_failed", {"payment_status": "unpaid"}),
        ("checkout.session.completed", {}),
    ],
]
REFUND_COURSES = [
    ("succeeded",),
    ("pending", "succeeded"),
    ("pending", "succeeded", "failed"),
    ("pending", "requires_action", "canceled"),
    ("succeeded", "failed"),
]
DISPUTE_COURSES = [
    ("needs_response", "under_review", "won"),
    ("needs_response", "lost"),
    ("warning_needs_response", "warning_under_review", "warning_closed"),
    ("warning_needs_response", "needs_response", "under_review"),
    ("needs_response", "won", "appeal_needs_response", "lost"),
    ("needs_response", "lost", "appeal_needs_response", "appeal_under_review", "won"),
    ("needs_response", "prevented"),
]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A payment with up to three refunds and two disputes, in the order in which they happened."""
    story = list(draw(st.sampled_from(PAYMENTS)))
    happened = draw(st.permutations(range(5)))[: draw(st.integers(0, 5))]
    live: dict[int, int] = {}
    for number in happened:
        if number < 3:
            story += refund_events(draw, number, live)
        else:
            story += dispute_events(draw, number)
    return story


def refund_events(draw: st.DrawFn, number: int, live: dict[int, int]) -> Story:
    """One refund's course, with the charge's sum as it was after each step."""
    left = 2000 - sum(live.values())
    if not left:
        return []
    amount = draw(st.sampled_from([left, max(1, left // 2), 1]))
    events: Story = []
    for status in draw(st.sampled_from(REFUND_COURSES)):
        live[number] = 0 if status in ("failed", "canceled") else amount
        kind = draw(st.sampled_from(["refund.created", "refund.updated", "charge.refund.updated"]))
        events.append((kind, {"number": number, "amount": amount, "status": status}))
        events.append(("charge.refunded", {"refunded": sum(live.values())}))
    return events


def dispute_events(draw: st.DrawFn, number: int) -> Story:
    kinds = st.sampled_from(["created", "updated", "closed", "funds_withdrawn"])
    return [
        (f"charge.dispute.{draw(kinds)}", {"number": number, "status": status})
        for status in draw(st.sampled_from(DISPUTE_COURSES))
    ]


def build(*told: Story) -> tuple[Conversation, list[stripe.Json]]:
    """A fresh conversation that waits for a session, and a story's events about each session."""
    conversation = ConversationFactory.create(user=UserFactory.create())
    sessions = [stripe.session(conversation) for _ in told]
    conversation.mark_pending(sessions[0]["id"])
    happened = [
        one
        for session, story in zip(sessions, told, strict=True)
        for one in objects(conversation, session, story)
    ]
    events = [
        stripe.event(kind, stripe_object, created=1_700_000_000 + 60 * minute)
        for minute, (kind, stripe_object) in enumerate(happened)
    ]
    return conversation, events


def objects(
    conversation: Conversation, session: stripe.Json, story: Story
) -> Iterator[tuple[str, stripe.Json]]:
    intent = session["payment_intent"]
    for kind, special in story:
        of_this = {**special, "id": f"{special.get('number')}_of_{intent}"}
        of_this.pop("number", None)
        if kind.startswith("checkout"):
            yield kind, {**session, **special}
        elif kind.startswith("payment_intent"):
            yield kind, stripe.declined_intent(conversation, id=intent)
        elif kind == "charge.refunded":
            yield kind, stripe.refunded_charge(intent, special["refunded"])
        elif "dispute" in kind:
            yield kind, stripe.dispute(intent, **of_this)
        else:
            yield kind, stripe.refund(intent, **of_this)


def tell(events: list[stripe.Json]) -> None:
    for event in events:
        assert stripe.deliver(event).status_code == 200


def result(conversation: Conversation) -> dict[str, Any]:
    """All that anybody can see of a conversation with one payment, but ids and times."""
    conversation.refresh_from_db()
    order = Order.objects.get(conversation=conversation)
    key = ApiKey.objects.filter(user=conversation.user_id)
    return {
        "conversation": conversation.payment_status,
        "duplicate": order.is_duplicate,
        "money": money(order),
        "keys": [(one.revoked_at is not None, one.suspended_at is not None) for one in key],
    }


def money(order: Order) -> dict[str, Any]:
    """All that is known of an order's own money."""
    events = StripeEvent.objects.filter(payment_intent_id=order.stripe_payment_intent_id)
    return {
        "order": (order.status, order.amount_cents, order.dispute_status),
        "refunded": (order.refunded_cents, order.refunded_at is not None),
        "refunds": sorted(order.refunds.values_list("amount_cents", "status")),
        "disputes": sorted(order.disputes.values_list("status", flat=True)),
        "unsettled": events.exclude(status=EventStatus.PROCESSED).count(),
    }


def moneys(conversation: Conversation) -> list[dict[str, Any]]:
    """The money of each order, in the order in which their sessions were made."""
    orders = Order.objects.filter(conversation=conversation)
    return [money(one) for one in sorted(orders, key=lambda one: int(one.stripe_session_id[8:]))]


thoroughly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def disordered(data: st.DataObject, events: list[stripe.Json]) -> list[stripe.Json]:
    """All of them, some repeatedly, in any order."""
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=len(events)))
    return data.draw(st.permutations(events + repeated))


@thoroughly
@given(story=stories(), data=st.data())
def test_duplicates_and_disorder_end_as_the_story_did(
    db: None, story: Story, data: st.DataObject
) -> None:
    in_order, events = build(story)
    tell(events)
    in_disorder, events = build(story)
    tell(disordered(data, events))
    assert result(in_disorder) == result(in_order)


@thoroughly
@given(first=stories(), second=stories(), data=st.data())
def test_two_payments_of_one_conversation_leave_one_key_and_the_money_of_each(
    db: None, first: Story, second: Story, data: st.DataObject
) -> None:
    in_order, events = build(first, second)
    tell(events)
    in_disorder, events = build(first, second)
    tell(disordered(data, events))
    assert moneys(in_disorder) == moneys(in_order)
    assert_invariants(in_order)
    assert_invariants(in_disorder)
