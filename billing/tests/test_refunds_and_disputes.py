"""Refunds and disputes: single, combined, early, late, repeated and reversed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import User
from apikeys import services
from apikeys.models import ApiKey
from billing.models import (
    MAX_ATTEMPTS,
    Dispute,
    EventStatus,
    Order,
    OrderStatus,
    Refund,
    StripeEvent,
)
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import ConversationFactory
from testing.invariants import assert_invariants
from testing.keys import issued_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(conversation: Conversation) -> Order:
    """A paid order of 2000."""
    assert stripe.deliver(stripe.completed(conversation)).status_code == 200
    return Order.objects.get()


def send(kind: str, stripe_object: stripe.Json, **fields: int) -> StripeEvent:
    """Deliver an event and return its row."""
    event = stripe.event(kind, stripe_object, **fields)
    assert stripe.deliver(event).status_code == 200
    return StripeEvent.objects.get(event_id=event["id"])


def seen(order: Order) -> tuple[int, str, str]:
    """The refunded cents, the conversation's status, and whether the key works."""
    order.refresh_from_db()
    key = "none"
    if order.grant is not None:
        key = "live" if issued_key(order).may_authenticate() else "refused"
    return order.refunded_cents, order.conversation.payment_status, key


def test_a_full_refund_revokes_the_key_and_unpays_the_conversation(order: Order) -> None:
    _, secret = services.reveal(user_id=order.user_id, key_id=issued_key(order).pk)
    assert bearer(secret).get("/api/conversations").status_code == 200
    event = send("refund.created", stripe.refund(order.stripe_payment_intent_id or ""))
    assert seen(order) == (2000, "unpaid", "refused")
    assert order.refunded_at is not None
    assert bearer(secret).get("/api/conversations").status_code == 401
    assert event.conversation_id == order.conversation_id
    assert event.outcome.startswith(f"order {order.pk}: refund re_")


def test_a_partial_refund_is_only_recorded(order: Order) -> None:
    send("refund.created", stripe.refund(order.stripe_payment_intent_id or "", 500))
    assert seen(order) == (500, "paid", "live")
    assert order.refunded_at is None
    assert Refund.objects.get().amount_cents == 500


def test_partial_refunds_add_up_to_a_full_refund(order: Order) -> None:
    for amount in (500, 700, 800):
        assert seen(order)[2] == "live"
        send("refund.created", stripe.refund(order.stripe_payment_intent_id or "", amount))
    assert seen(order) == (2000, "unpaid", "refused")


def test_the_charge_alone_reports_a_full_refund(order: Order) -> None:
    send("charge.refunded", stripe.refunded_charge(order.stripe_payment_intent_id or ""))
    assert seen(order) == (2000, "unpaid", "refused")


def test_a_failed_refund_is_undone(order: Order) -> None:
    refund = stripe.refund(order.stripe_payment_intent_id or "")
    send("charge.refunded", stripe.refunded_charge(order.stripe_payment_intent_id or ""))
    send("refund.created", refund)
    assert seen(order) == (2000, "unpaid", "refused")
    send("refund.failed", {**refund, "status": "failed"})
    assert seen(order) == (0, "paid", "live")
    assert order.refunded_at is None


def test_a_refund_made_again_after_one_failed_counts(order: Order) -> None:
    intent = order.stripe_payment_intent_id or ""
    send("refund.failed", stripe.refund(intent, status="failed"))
    send("refund.created", stripe.refund(intent))
    assert seen(order) == (2000, "unpaid", "refused")


REFUND_EVENTS = ("created", "charge", "updated", "failed", "second", "charge again")


@pytest.mark.parametrize("sequence", list(itertools.permutations(REFUND_EVENTS))[::24])
def test_refund_and_charge_events_in_any_order_give_one_result(
    order: Order, sequence: tuple[str, ...]
) -> None:
    """A refund of 500 succeeds and then fails; one of 700 stands."""
    intent = order.stripe_payment_intent_id or ""
    first, second = stripe.refund(intent, 500), stripe.refund(intent, 700)
    events = {
        "created": stripe.event("refund.created", {**first, "status": "pending"}),
        "charge": stripe.event("charge.refunded", stripe.refunded_charge(intent, 500)),
        "updated": stripe.event("refund.updated", first),
        "failed": stripe.event("refund.failed", {**first, "status": "failed"}),
        "second": stripe.event("refund.created", second),
        "charge again": stripe.event("charge.refunded", stripe.refunded_charge(intent, 1200)),
    }
    for name in (*sequence, *sequence):
        assert stripe.deliver(events[name]).status_code == 200
    assert seen(order) == (700, "paid", "live")
    assert Refund.objects.count() == 2


def test_a_refund_in_another_currency_is_recorded_and_not_added_up(order: Order) -> None:
    refund = stripe.refund(order.stripe_payment_intent_id or "", currency="eur")
    send("refund.created", refund)
    assert seen(order) == (0, "paid", "live")
    assert Refund.objects.get().currency == "eur"


@pytest.mark.parametrize("status", ["", None, "reversed_by_bank"])
def test_an_unknown_refund_status_is_recorded_and_not_guessed(order: Order, status: str) -> None:
    send("refund.created", stripe.refund(order.stripe_payment_intent_id or "", status=status))
    assert seen(order) == (0, "paid", "live")


def test_a_refund_of_a_duplicate_revokes_no_key(order: Order) -> None:
    duplicate = stripe.completed(order.conversation)
    stripe.deliver(duplicate)
    send("refund.created", stripe.refund(duplicate["data"]["object"]["payment_intent"]))
    assert seen(order) == (0, "paid", "live")
    assert seen(Order.objects.get(is_duplicate=True)) == (2000, "paid", "none")


def test_a_refunded_conversation_stays_paid_while_another_good_order_stands(order: Order) -> None:
    stripe.deliver(stripe.completed(order.conversation))
    send("refund.created", stripe.refund(order.stripe_payment_intent_id or ""))
    assert seen(order) == (2000, "paid", "refused")
    second = Order.objects.exclude(pk=order.pk).get()
    assert seen(second) == (0, "paid", "live")
    send("refund.created", stripe.refund(second.stripe_payment_intent_id or ""))
    assert seen(second) == (2000, "unpaid", "refused")


def test_a_refunded_conversation_may_be_paid_again(order: Order) -> None:
    send("refund.created", stripe.refund(order.stripe_payment_intent_id or ""))
    stripe.deliver(stripe.completed(order.conversation))
    again = Order.objects.exclude(pk=order.pk).get()
    assert not again.is_duplicate
    assert seen(again) == (0, "paid", "live")
    assert seen(order) == (2000, "paid", "refused")


def test_an_open_dispute_suspends_and_a_won_one_restores(order: Order) -> None:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "")
    send("charge.dispute.created", dispute)
    assert seen(order) == (0, "paid", "refused")
    assert issued_key(order).state == "suspended"
    send("charge.dispute.closed", {**dispute, "status": "won"})
    assert seen(order) == (0, "paid", "live")


def test_a_lost_dispute_revokes_the_key_and_unpays_the_conversation(order: Order) -> None:
    send("charge.dispute.closed", stripe.dispute(order.stripe_payment_intent_id or "", "lost"))
    assert seen(order) == (0, "unpaid", "refused")
    assert issued_key(order).state == "revoked"


@pytest.mark.parametrize(
    "status", ["warning_needs_response", "warning_under_review", "warning_closed", "a_new_word"]
)
def test_inquiries_and_unknown_statuses_suspend_nothing(order: Order, status: str) -> None:
    send("charge.dispute.created", stripe.dispute(order.stripe_payment_intent_id or "", status))
    assert seen(order) == (0, "paid", "live")
    assert Dispute.objects.get().status == status


def test_an_inquiry_may_become_a_dispute(order: Order) -> None:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "", "warning_closed")
    send("charge.dispute.closed", dispute)
    send("charge.dispute.updated", {**dispute, "status": "needs_response"})
    assert seen(order) == (0, "paid", "refused")


def test_a_late_event_with_an_earlier_status_changes_nothing(order: Order) -> None:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "")
    send("charge.dispute.closed", {**dispute, "status": "won"})
    for status in ("warning_needs_response", "needs_response", "under_review"):
        send("charge.dispute.updated", {**dispute, "status": status})
    assert seen(order) == (0, "paid", "live")


APPEAL = ("lost", "appeal_needs_response", "appeal_under_review", "won")


@pytest.mark.parametrize("sequence", list(itertools.permutations(enumerate(APPEAL))))
def test_a_dispute_that_is_reopened_is_decided_by_its_last_decision(
    order: Order, sequence: tuple[tuple[int, str], ...]
) -> None:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "")
    for day, status in sequence:
        created = 1_700_000_000 + day * 86_400
        send("charge.dispute.updated", {**dispute, "status": status}, created=created)
    assert seen(order) == (0, "paid", "live")


def test_a_won_dispute_does_not_restore_a_refunded_key(order: Order) -> None:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "")
    send("charge.dispute.created", dispute)
    send("refund.created", stripe.refund(order.stripe_payment_intent_id or ""))
    send("charge.dispute.closed", {**dispute, "status": "won"})
    assert seen(order) == (2000, "unpaid", "refused")


def test_the_most_severe_of_several_disputes_decides(order: Order) -> None:
    first = stripe.dispute(order.stripe_payment_intent_id or "")
    send("charge.dispute.created", first)
    send("charge.dispute.created", stripe.dispute(order.stripe_payment_intent_id or ""))
    send("charge.dispute.closed", {**first, "status": "won"})
    assert seen(order) == (0, "paid", "refused")


def test_a_key_its_owner_deleted_stays_deleted_when_a_refund_fails(order: Order) -> None:
    services.revoke(issued_key(order).pk, reason="mine")
    refund = stripe.refund(order.stripe_payment_intent_id or "")
    send("refund.created", refund)
    send("refund.failed", {**refund, "status": "failed"})
    assert seen(order) == (0, "paid", "refused")
    assert ApiKey.objects.get().revoked_reason == "mine"


def test_a_key_that_staff_suspended_is_not_restored_by_a_won_dispute(order: Order) -> None:
    services.suspend(issued_key(order).pk)
    dispute = stripe.dispute(order.stripe_payment_intent_id or "")
    send("charge.dispute.created", dispute)
    send("charge.dispute.closed", {**dispute, "status": "won"})
    assert seen(order) == (0, "paid", "refused")


EARLY: dict[str, tuple[Callable[[str], stripe.Json], tuple[int, str, str]]] = {
    "charge.refunded": (stripe.refunded_charge, (2000, "unpaid", "refused")),
    "refund.created": (stripe.refund, (2000, "unpaid", "refused")),
    "charge.dispute.created": (stripe.dispute, (0, "paid", "refused")),
}


@pytest.mark.parametrize("kind", EARLY)
@pytest.mark.parametrize("by_way_of", ["completed", "unpaid first", "failed first"])
def test_a_reversal_before_its_order_waits_and_is_applied_with_it(
    conversation: Conversation, kind: str, by_way_of: str
) -> None:
    build, expected = EARLY[kind]
    session = stripe.session(conversation)
    event = send(kind, build(session["payment_intent"]))
    assert event.status == EventStatus.UNMATCHED
    assert event.outcome == f"No order has PaymentIntent {session['payment_intent']} yet."
    unpaid = {**session, "payment_status": "unpaid"}
    if by_way_of == "unpaid first":
        send("checkout.session.completed", unpaid)
    elif by_way_of == "failed first":
        send("checkout.session.async_payment_failed", unpaid)
    send("checkout.session.completed", session)
    assert seen(Order.objects.get()) == expected
    event.refresh_from_db()
    assert (event.status, event.conversation_id) == (EventStatus.PROCESSED, conversation.pk)
    assert event.settled_at is not None


@pytest.mark.parametrize("kind", EARLY)
@pytest.mark.parametrize("was_pending", [False, True])
def test_a_reversal_before_a_failed_order_is_settled_with_it(
    conversation: Conversation, kind: str, was_pending: bool
) -> None:
    session = {**stripe.session(conversation), "payment_status": "unpaid"}
    event = send(kind, EARLY[kind][0](session["payment_intent"]))
    if was_pending:
        send("checkout.session.completed", session)
    send("checkout.session.async_payment_failed", session)
    order = Order.objects.get()
    assert (order.status, order.grant_id) == (OrderStatus.FAILED, None)
    event.refresh_from_db()
    assert (event.status, event.conversation_id) == (EventStatus.PROCESSED, conversation.pk)
    conversation.refresh_from_db()
    assert conversation.payment_status == "failed"


def test_an_unreadable_refund_that_waits_does_not_stop_its_payment(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation)
    refund = stripe.refund(session["payment_intent"], amount="much")  # type: ignore[arg-type]
    event = stripe.event("refund.created", refund)
    assert stripe.deliver(event).status_code == 500
    send("checkout.session.completed", session)
    assert seen(Order.objects.get()) == (0, "paid", "live")
    assert StripeEvent.objects.get(event_id=event["id"]).status == EventStatus.FAILED


def test_a_reversal_ignored_after_a_day_is_still_applied_with_its_order(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation)
    refund = stripe.event("refund.created", stripe.refund(session["payment_intent"]))
    stripe.deliver(refund)
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(hours=25))
    stripe.deliver(refund)
    assert StripeEvent.objects.get().status == EventStatus.IGNORED
    send("checkout.session.completed", session)
    assert seen(Order.objects.get()) == (2000, "unpaid", "refused")


@pytest.mark.parametrize("build", [stripe.refund, stripe.refunded_charge, stripe.dispute])
def test_a_reversal_without_a_payment_intent_is_ignored(
    order: Order, build: Callable[[str], stripe.Json]
) -> None:
    kinds = {"refund": "refund.created", "charge": "charge.refunded"}
    stripe_object = {**build("pi_other"), "payment_intent": None}
    event = send(kinds.get(stripe_object["object"], "charge.dispute.created"), stripe_object)
    assert event.status == EventStatus.IGNORED
    assert seen(order) == (0, "paid", "live")


def test_amount_and_currency_are_what_was_paid(conversation: Conversation) -> None:
    event = stripe.completed(conversation, amount_total=1999, currency="JPY")
    stripe.deliver(event)
    order = Order.objects.get()
    assert (order.amount_cents, order.currency) == (1999, "jpy")
    intent = event["data"]["object"]["payment_intent"]
    send("refund.created", stripe.refund(intent, 1999, currency="jpy"))
    assert seen(order) == (1999, "unpaid", "refused")


def test_a_customer_sees_the_refund_and_the_dispute(
    order: Order, api_of: Callable[[User], Client]
) -> None:
    send("refund.created", stripe.refund(order.stripe_payment_intent_id or "", 500))
    send("charge.dispute.created", stripe.dispute(order.stripe_payment_intent_id or ""))
    answer = api_of(order.user).get(f"/api/orders/{order.pk}").json()
    assert (answer["refundedCents"], answer["disputeStatus"]) == (500, "needs_response")


def test_a_duplicate_is_promoted_and_gets_a_key_after_a_refund_of_the_first(
    conversation: Conversation,
) -> None:
    first, second = stripe.completed(conversation), stripe.completed(conversation)
    stripe.deliver(first)
    stripe.deliver(second)
    paid = first["data"]["object"]
    stripe.deliver(stripe.event("refund.created", stripe.refund(paid["payment_intent"], 2000)))
    standing = Order.objects.get(stripe_session_id=second["data"]["object"]["id"])
    assert not standing.is_duplicate
    assert issued_key(standing).may_authenticate()
    conversation.refresh_from_db()
    assert conversation.payment_status == "paid"
    assert conversation.stripe_session_id == standing.stripe_session_id
    assert ApiKey.objects.not_revoked().count() == 1


def test_a_link_created_during_a_lost_dispute_becomes_a_duplicate_after_the_dispute_is_won(
    order: Order,
) -> None:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "", "lost")
    send("charge.dispute.closed", dispute)
    link = stripe.session(order.conversation)
    order.conversation.mark_pending(link["id"])
    send("charge.dispute.closed", {**dispute, "status": "won"}, created=2_000_000_000)
    assert seen(order) == (0, "paid", "live")
    send("checkout.session.completed", link)
    again = Order.objects.get(stripe_session_id=link["id"])
    assert again.is_duplicate
    assert seen(again) == (0, "paid", "none")
    assert seen(order) == (0, "paid", "live")


def test_a_refund_of_the_other_mode_changes_nothing_and_stays_unmatched(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(event)
    intent = event["data"]["object"]["payment_intent"]
    refund = stripe.event("refund.created", stripe.refund(intent, 2000), livemode=True)
    stripe.deliver(refund)
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(days=2))
    stripe.deliver(refund)
    assert StripeEvent.objects.get(event_id=refund["id"]).status == EventStatus.UNMATCHED
    assert Order.objects.get().refunded_cents == 0


def test_refunds_are_added_up_anew_when_a_delayed_payment_changes_its_currency(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, payment_status="unpaid")
    send("checkout.session.completed", session)
    send("refund.created", stripe.refund(session["payment_intent"], 500))
    kind = "checkout.session.async_payment_failed"
    for currency, refunded in (("eur", 0), ("usd", 500)):
        send(kind, {**session, "currency": currency})
        assert Order.objects.get().refunded_cents == refunded


def test_a_sum_in_another_currency_is_not_added_up(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(event)
    intent = event["data"]["object"]["payment_intent"]
    charge = {
        "id": "ch_1",
        "object": "charge",
        "payment_intent": intent,
        "amount": 300_000,
        "amount_refunded": 2000,
        "refunded": False,
        "currency": "jpy",
    }
    stripe.deliver(stripe.event("charge.refunded", charge))
    assert Order.objects.get().refunded_cents == 0


def test_a_refund_stays_unmatched_while_its_payment_is_unsettled(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    session = event["data"]["object"]
    pk, user_id = conversation.pk, conversation.user_id
    conversation.delete()
    stripe.deliver(event)
    refund = stripe.event("refund.created", stripe.refund(session["payment_intent"], 2000))
    stripe.deliver(refund)
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(days=2))
    stripe.deliver(refund)
    assert StripeEvent.objects.get(event_id=refund["id"]).status == EventStatus.UNMATCHED

    Conversation.objects.create(pk=pk, user_id=user_id, title="restored")
    stripe.deliver(event)
    assert Order.objects.get().refunded_cents == 2000
    assert not ApiKey.objects.get().may_authenticate()


def test_a_failed_refund_after_a_new_payment_is_a_duplicate_and_its_grant_stays_revoked(
    conversation: Conversation,
) -> None:
    first, second = stripe.completed(conversation), stripe.completed(conversation)
    stripe.deliver(first)
    stripe.deliver(second)
    payments = [event["data"]["object"]["payment_intent"] for event in (first, second)]
    refund = stripe.refund(payments[0], 2000)
    stripe.deliver(stripe.event("refund.created", refund))
    stripe.deliver(
        stripe.event("refund.failed", {**refund, "status": "failed"}, created=2_000_000_000)
    )
    late, standing = (Order.objects.get(stripe_payment_intent_id=one) for one in payments)
    assert (late.is_duplicate, issued_key(late).state, late.is_good) == (True, "revoked", True)
    assert not standing.is_duplicate
    assert list(ApiKey.objects.not_revoked()) == [issued_key(standing)]
    first_key = issued_key(late)

    stripe.deliver(stripe.event("refund.created", stripe.refund(payments[1], 2000)))
    late.refresh_from_db()
    assert not late.is_duplicate
    assert list(ApiKey.objects.not_revoked()) == [first_key]
    assert ApiKey.objects.count() == 2  # its grant is restored: no key is issued again


def paid_twice(conversation: Conversation) -> tuple[str, str]:
    """Pay a conversation twice; the PaymentIntents of the order that stands and the duplicate."""
    events = [stripe.completed(conversation) for _ in range(2)]
    for event in events:
        stripe.deliver(event)
    first, second = (event["data"]["object"]["payment_intent"] for event in events)
    return first, second


@pytest.mark.parametrize("sequence", list(itertools.permutations(range(3))))
def test_a_duplicates_money_that_comes_back_when_nothing_else_pays_makes_it_stand(
    conversation: Conversation, sequence: tuple[int, ...]
) -> None:
    first, second = paid_twice(conversation)
    refund = stripe.refund(second)
    events = [
        stripe.event("refund.created", stripe.refund(first)),
        stripe.event("refund.created", refund),
        stripe.event("refund.failed", {**refund, "status": "failed"}),
    ]
    for number in sequence:
        assert stripe.deliver(events[number]).status_code == 200
    standing = Order.objects.get(stripe_payment_intent_id=second)
    assert not standing.is_duplicate
    assert seen(standing) == (0, "paid", "live")
    assert_invariants(conversation)


def test_a_duplicate_whose_dispute_is_won_when_nothing_else_pays_stands(
    conversation: Conversation,
) -> None:
    first, second = paid_twice(conversation)
    dispute = stripe.dispute(second, "lost")
    stripe.deliver(stripe.event("charge.dispute.closed", dispute))
    stripe.deliver(stripe.event("refund.created", stripe.refund(first)))
    won = {**dispute, "status": "won"}
    stripe.deliver(stripe.event("charge.dispute.closed", won, created=2_000_000_000))
    assert seen(Order.objects.get(stripe_payment_intent_id=second)) == (0, "paid", "live")
    assert_invariants(conversation)


def test_a_waiting_refund_of_the_other_mode_is_not_applied(conversation: Conversation) -> None:
    session = stripe.session(conversation)
    refund = stripe.event("refund.created", stripe.refund(session["payment_intent"]), livemode=True)
    stripe.deliver(refund)
    stripe.deliver(stripe.event("checkout.session.completed", session))
    assert StripeEvent.objects.get(event_id=refund["id"]).status == EventStatus.UNMATCHED
    assert Order.objects.get().refunded_cents == 0


@pytest.mark.parametrize("amount", [2**63, 10**30])
def test_a_waiting_refund_beyond_bigint_does_not_stop_its_payment(
    conversation: Conversation, amount: int
) -> None:
    session = stripe.session(conversation)
    refund = stripe.event("refund.created", stripe.refund(session["payment_intent"], amount))
    stripe.deliver(refund)
    assert stripe.deliver(stripe.event("checkout.session.completed", session)).status_code == 200
    assert seen(Order.objects.get()) == (0, "paid", "live")
    stored = StripeEvent.objects.get(event_id=refund["id"])
    assert stored.status == EventStatus.FAILED
    assert "no readable amount" in stored.last_error


def test_waiting_refunds_whose_sum_is_beyond_bigint_do_not_stop_their_payment(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation)
    for _ in range(2):
        refund = stripe.refund(session["payment_intent"], 2**62)
        stripe.deliver(stripe.event("refund.created", refund))
    assert stripe.deliver(stripe.event("checkout.session.completed", session)).status_code == 200
    assert Order.objects.get().status == OrderStatus.COMPLETED


@pytest.mark.parametrize("kind", ["refund.created", "charge.dispute.created"])
@pytest.mark.parametrize("waits", [True, False])
def test_a_refund_or_dispute_of_another_order_does_not_stop_the_payment(
    order: Order, kind: str, waits: bool
) -> None:
    build = stripe.refund if kind == "refund.created" else stripe.dispute
    known = build(order.stripe_payment_intent_id or "")
    assert stripe.deliver(stripe.event(kind, known)).status_code == 200
    before = seen(order)
    session = stripe.session(ConversationFactory.create())
    odd = stripe.event(kind, {**known, "payment_intent": session["payment_intent"]})
    payment = stripe.event("checkout.session.completed", session)
    for event in (odd, payment) if waits else (payment, odd):
        assert stripe.deliver(event).status_code == 200
    paid = Order.objects.get(stripe_session_id=session["id"])
    assert seen(paid) == (0, "paid", "live")
    for _ in range(2 * MAX_ATTEMPTS):  # it is not tried for ever
        call_command("process_events", stdout=StringIO())
    stored = StripeEvent.objects.get(event_id=odd["id"])
    assert (stored.status, stored.attempts) == (EventStatus.UNMATCHED, MAX_ATTEMPTS)
    assert (
        stored.outcome
        == f"{'Refund' if build is stripe.refund else 'Dispute'} {known['id']} "
        + (f"belongs to order {order.pk}.")
    )
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(days=2))
    call_command("process_events", stdout=StringIO())
    assert StripeEvent.objects.get(event_id=odd["id"]).status == EventStatus.UNMATCHED
    assert seen(order) == before


def test_the_failure_of_an_event_that_cannot_be_read_is_recorded(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> object:
        raise RecursionError

    with monkeypatch.context() as patched:
        patched.setattr("django.db.models.JSONField.from_db_value", unreadable)
        response = stripe.deliver(
            stripe.event("checkout.session.expired", stripe.session(conversation))
        )
    assert response.status_code == 500
    stored = StripeEvent.objects.get()
    assert (stored.status, stored.attempts) == (EventStatus.FAILED, 1)
    assert stored.last_error.startswith("RecursionError")


@pytest.mark.parametrize(
    "stop", ["refund", "dispute", "staff stop the grant", "staff suspend the key"]
)
def test_the_success_page_offers_no_key_that_is_stopped(order: Order, stop: str) -> None:
    intent, key = order.stripe_payment_intent_id or "", issued_key(order)
    if stop == "refund":
        send("refund.created", stripe.refund(intent))
    elif stop == "dispute":
        send("charge.dispute.created", stripe.dispute(intent))
    elif stop == "staff stop the grant":
        services.stop_grant(key.grant_id, reason="Abuse.")
    else:
        services.suspend(key.pk)
    browser = Client()
    browser.force_login(order.user)
    page = browser.get("/payments/success", {"session_id": order.stripe_session_id})
    assert "Your API key is ready" not in page.content.decode()
    why = {
        "refund": "The key of this payment has ended.",
        "dispute": "disputed",
        "staff stop the grant": "Abuse.",
        "staff suspend the key": "suspended",
    }
    assert why[stop] in page.content.decode()
