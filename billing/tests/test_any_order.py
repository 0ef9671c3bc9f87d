"""Property tests: the result does not depend on the order or repetition of events.

Not covered: two decisions of one dispute within one second. Of two payments of one conversation,
the first to arrive gets the key, so only their amounts and the invariants are compared.
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
from testing.links import linked_session

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(1800)]

# `make soak` asks for more.
EXAMPLES = int(os.environ.get("STRESS_EXAMPLES", "15"))

History = list[tuple[str, dict[str, Any]]]  # event types, and fields of their object

PAYMENTS: list[History] = [
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
    [
        ("payment_intent.payment_failed", {}),
        ("checkout.session.completed", {"payment_status": "unpaid"}),
        ("checkout.session.async_payment_succeeded", {}),
    ],
    [
        ("checkout.session.completed", {"payment_status": "unpaid"}),
        ("payment_intent.payment_failed", {}),
        ("checkout.session.async_payment_failed", {"payment_status": "unpaid"}),
    ],
    # Events that Stripe does not send together; success must win.
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
def payment_histories(draw: st.DrawFn) -> History:
    """A payment with up to three refunds and two disputes, in chronological order."""
    history = list(draw(st.sampled_from(PAYMENTS)))
    for version in range(draw(st.integers(0, 2))):  # before or after the session's own events
        kind = draw(st.sampled_from(["charge.succeeded", "charge.updated"]))
        history.insert(draw(st.integers(0, len(history))), (kind, {"number": version}))
    occurred = draw(st.permutations(range(5)))[: draw(st.integers(0, 5))]
    live: dict[int, int] = {}
    for number in occurred:
        if number < 3:
            history += refund_events(draw, number, live)
        else:
            history += dispute_events(draw, number)
    return history


def refund_events(draw: st.DrawFn, number: int, live: dict[int, int]) -> History:
    """The events of one refund, with the charge's sum after each step."""
    left = 2000 - sum(live.values())
    if not left:
        return []
    amount = draw(st.sampled_from([left, max(1, left // 2), 1]))
    events: History = []
    for status in draw(st.sampled_from(REFUND_COURSES)):
        live[number] = 0 if status in ("failed", "canceled") else amount
        kind = draw(st.sampled_from(["refund.created", "refund.updated", "charge.refund.updated"]))
        events.append((kind, {"number": number, "amount": amount, "status": status}))
        events.append(("charge.refunded", {"refunded": sum(live.values())}))
    return events


def dispute_events(draw: st.DrawFn, number: int) -> History:
    kinds = st.sampled_from(["created", "updated", "closed", "funds_withdrawn"])
    return [
        (f"charge.dispute.{draw(kinds)}", {"number": number, "status": status})
        for status in draw(st.sampled_from(DISPUTE_COURSES))
    ]


def build(*histories: History) -> tuple[Conversation, list[stripe.Json]]:
    """A new conversation with a link, and the events of each session's history."""
    conversation = ConversationFactory.create(user=UserFactory.create())
    sessions = [linked_session(conversation) for _ in histories]
    conversation.mark_pending(sessions[0]["id"])
    occurred = [
        each
        for session, history in zip(sessions, histories, strict=True)
        for each in objects(conversation, session, history)
    ]
    events = [
        stripe.event(kind, stripe_object, created=1_700_000_000 + 60 * minute)
        for minute, (kind, stripe_object) in enumerate(occurred)
    ]
    return conversation, events


def objects(
    conversation: Conversation, session: stripe.Json, history: History
) -> Iterator[tuple[str, stripe.Json]]:
    intent = session["payment_intent"]
    for kind, fields in history:
        own_fields = {**fields, "id": f"{fields.get('number')}_of_{intent}"}
        own_fields.pop("number", None)
        if kind.startswith("checkout"):
            yield kind, {**session, **fields}
        elif kind.startswith("payment_intent"):
            metadata = session["metadata"]
            yield kind, stripe.declined_intent(conversation, id=intent, metadata=metadata)
        elif kind == "charge.refunded":
            yield kind, stripe.refunded_charge(intent, fields["refunded"])
        elif kind in ("charge.succeeded", "charge.updated"):
            url = f"https://pay.stripe.com/receipts/{fields['number']}"
            yield kind, stripe.refunded_charge(intent, 0, receipt_url=url)
        elif "dispute" in kind:
            yield kind, stripe.dispute(intent, **own_fields)
        else:
            yield kind, stripe.refund(intent, **own_fields)


def deliver(events: list[stripe.Json]) -> None:
    for event in events:
        assert stripe.deliver(event).status_code == 200


def result(conversation: Conversation) -> dict[str, Any]:
    """The state of a conversation with one payment, without ids and times."""
    conversation.refresh_from_db()
    order = Order.objects.get(conversation=conversation)
    keys = ApiKey.objects.filter(user=conversation.user_id)
    return {
        "conversation": conversation.payment_status,
        "duplicate": order.is_duplicate,
        "money": money(order),
        "keys": [key.state for key in keys.select_related("grant")],
    }


def money(order: Order) -> dict[str, Any]:
    """The amounts and statuses of an order, its refunds and its disputes."""
    events = StripeEvent.objects.filter(payment_intent_id=order.stripe_payment_intent_id)
    return {
        "order": (order.status, order.amount_cents, order.dispute_status, order.receipt_url),
        "refunded": (order.refunded_cents, order.refunded_at is not None),
        "refunds": sorted(order.refunds.values_list("amount_cents", "status")),
        "disputes": sorted(order.disputes.values_list("status", flat=True)),
        "unsettled": events.exclude(status=EventStatus.PROCESSED).count(),
    }


def all_money(conversation: Conversation) -> list[dict[str, Any]]:
    """`money` of each order, by the creation of their sessions."""
    orders = Order.objects.filter(conversation=conversation)
    return [
        money(order) for order in sorted(orders, key=lambda order: int(order.stripe_session_id[8:]))
    ]


many_examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def shuffled(data: st.DataObject, events: list[stripe.Json]) -> list[stripe.Json]:
    """All events, some repeated, in any order."""
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=len(events)))
    return data.draw(st.permutations(events + repeated))


@many_examples
@given(history=payment_histories(), data=st.data())
def test_repeats_and_any_order_give_the_same_result(
    db: None, history: History, data: st.DataObject
) -> None:
    in_order, events = build(history)
    deliver(events)
    out_of_order, events = build(history)
    deliver(shuffled(data, events))
    assert result(out_of_order) == result(in_order)


@many_examples
@given(first=payment_histories(), second=payment_histories(), data=st.data())
def test_two_payments_of_one_conversation_give_one_key_and_the_amounts_of_each(
    db: None, first: History, second: History, data: st.DataObject
) -> None:
    in_order, events = build(first, second)
    deliver(events)
    out_of_order, events = build(first, second)
    deliver(shuffled(data, events))
    assert all_money(out_of_order) == all_money(in_order)
    assert_invariants(in_order)
    assert_invariants(out_of_order)
