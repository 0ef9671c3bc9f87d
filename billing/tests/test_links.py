"""Payment links: their rows, whose payment counts, what staff review, and what is asked again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from apikeys.models import ApiKey, Grant
from billing import checkout
from billing.events import log
from billing.models import CheckoutLink, EventStatus, Order, OrderStatus, StripeEvent
from billing.stripe import client
from conversations.models import Conversation, PaymentStatus
from sandbox.testing import RunningSandbox
from testing import links
from testing import stripe_events as stripe
from testing.factories import ConversationFactory, UserFactory

pytestmark = pytest.mark.django_db

URL = "/api/payments/link"
ApiOf = Callable[[User], APIClient]
Json = stripe.Json


def ask(client: APIClient, conversation: Conversation, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"conversationId": conversation.pk}
    return client.post(URL, body, format="json", headers=headers)


def status_after(event: Json) -> str:
    assert stripe.deliver(event).status_code == 200
    return StripeEvent.objects.get(event_id=event["id"]).status


def payment_status(conversation: Conversation) -> str:
    conversation.refresh_from_db()
    return conversation.payment_status


# --- The row --------------------------------------------------------------------------------------


@pytest.mark.http
def test_a_link_has_a_row_with_what_was_asked_for(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    session = local_stripe.object(ask(api_of(conversation.user), conversation).json()["sessionId"])
    link = CheckoutLink.objects.get()
    assert link.stripe_session_id == session["id"]
    assert (link.user, link.conversation) == (conversation.user, conversation)
    assert (link.tier, link.stripe_price_id) == ("premium", "price_sandbox_premium")
    assert (link.amount_cents, link.currency) == (session["amount_total"], session["currency"])
    assert link.created_at == datetime.fromtimestamp(session["created"], UTC)
    assert link.expires_at == datetime.fromtimestamp(session["expires_at"], UTC)
    assert link.closed_at is None
    assert session["metadata"]["link_id"] == link.link_id


@pytest.mark.http
def test_a_repeat_has_the_same_link_and_other_requests_have_others(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    for key in ("one", "one", "two", None, None):
        assert ask(client, conversation, key).status_code == 200
    assert CheckoutLink.objects.count() == 4
    assert CheckoutLink.objects.open().count() == 1  # each replaced the one before it


@pytest.mark.http
def test_the_deployment_is_in_the_metadata_of_session_and_payment(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf, settings: Settings
) -> None:
    settings.STRIPE_DEPLOYMENT = "blue"
    session_id = ask(api_of(conversation.user), conversation).json()["sessionId"]
    local_stripe.pay(session_id)
    session = local_stripe.object(session_id)
    assert session["metadata"]["deployment"] == "blue"
    assert local_stripe.object(session["payment_intent"])["metadata"] == session["metadata"]


@pytest.mark.http
def test_an_address_that_stripe_refuses_is_left_out(
    local_stripe: RunningSandbox, api_of: ApiOf
) -> None:
    user = UserFactory.create()
    User.objects.filter(pk=user.pk).update(email="no-at-sign")
    user.refresh_from_db()
    conversation = ConversationFactory.create(user=user)
    for key in (None, "a-key", "a-key"):
        answer = ask(api_of(user), conversation, key)
        assert answer.status_code == 200
        assert local_stripe.object(answer.json()["sessionId"])["customer_email"] is None


@pytest.mark.http
def test_a_repeat_after_the_session_has_ended_is_a_409_that_says_what_to_do(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    assert ask(client, conversation, "a-key").status_code == 200
    local_stripe.advance_clock(25 * 3600)
    problem = ask(client, conversation, "a-key")
    assert (problem.status_code, problem.json()["code"]) == (409, "session_expired")
    assert "new key" in problem.json()["detail"]
    assert ask(client, conversation, "another-key").status_code == 200


@pytest.mark.http
def test_a_repeat_whose_session_was_paid_is_fulfilled_and_says_so(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    local_stripe.pay(ask(client, conversation, "a-key").json()["sessionId"])  # the webhook is late
    problem = ask(client, conversation, "a-key")
    assert (problem.status_code, problem.json()["code"]) == (409, "already_paid")
    assert Order.objects.get().status == OrderStatus.COMPLETED


@pytest.mark.http
@pytest.mark.parametrize("row_is_lost", [False, True])
def test_a_repeat_after_the_users_address_was_corrected_is_answered(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf, row_is_lost: bool
) -> None:
    client = api_of(conversation.user)
    first = ask(client, conversation, "a-key").json()
    if row_is_lost:  # the server stopped after Stripe's answer
        CheckoutLink.objects.all().delete()
    User.objects.filter(pk=conversation.user_id).update(email="corrected@example.com")
    again = ask(client, conversation, "a-key")
    assert again.status_code == 200
    assert (again.json() == first) is not row_is_lost


@pytest.mark.http
def test_one_key_for_another_conversation_is_refused(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    assert ask(client, conversation, "a-key").status_code == 200
    other = ConversationFactory.create(user=conversation.user)
    problem = ask(client, other, "a-key")
    assert (problem.status_code, problem.json()["code"]) == (400, "idempotency_key_refused")


def test_an_answer_that_is_another_session_is_refused(
    conversation: Conversation, api_of: ApiOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = links.linked_session(ConversationFactory.create())

    def answer(*_: Any, **__: Any) -> Any:
        return client.CreatedSession(other["id"], "https://example.com/pay", other)

    monkeypatch.setattr(client, "create_session", answer)
    assert ask(api_of(conversation.user), conversation).json()["code"] == "stripe_failed"
    assert payment_status(conversation) == PaymentStatus.UNPAID
    assert CheckoutLink.objects.count() == 1


# --- Closed and open ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "is_closed"),
    [
        ("completed", {}, True),
        ("completed", {"payment_status": "unpaid"}, False),
        ("async_payment_succeeded", {}, True),
        ("async_payment_succeeded", {"payment_status": "unpaid"}, False),
        ("async_payment_failed", {"payment_status": "unpaid"}, True),
        ("expired", {"status": "expired", "payment_status": "unpaid"}, True),
    ],
)
@pytest.mark.parametrize("is_current", [True, False])
def test_an_event_that_ends_a_session_closes_its_link(
    conversation: Conversation, kind: str, fields: Json, is_closed: bool, is_current: bool
) -> None:
    session = links.linked_session(conversation, **fields)
    conversation.mark_pending(session["id"] if is_current else "cs_test_a_newer_one")
    stripe.deliver(stripe.event(f"checkout.session.{kind}", session))
    assert (CheckoutLink.objects.get().closed_at is not None) is is_closed


def reconcile() -> str:
    out = StringIO()
    call_command("reconcile_orders", "--older-than", "0", stdout=out)
    return out.getvalue().strip()


@pytest.mark.http
def test_reconciling_asks_for_every_open_link_and_closes_what_has_ended(
    local_stripe: RunningSandbox, conversation: Conversation, api_of: ApiOf
) -> None:
    client = api_of(conversation.user)
    first = ask(client, conversation).json()["sessionId"]
    local_stripe.add_fault(method="POST", path="/v1/checkout/sessions/*/expire", status=500)
    second = ask(client, conversation).json()["sessionId"]  # the first one is replaced, and open
    CheckoutLink.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert reconcile() == "2 sessions: 2 session open"
    local_stripe.pay(first)
    local_stripe.advance_clock(25 * 3600)
    assert reconcile() == "2 sessions: 1 order completed, 1 session expired"
    assert Order.objects.get().stripe_session_id == first
    assert CheckoutLink.objects.filter(closed_at=None).count() == 0
    assert reconcile() == "0 sessions"
    assert second != first


@pytest.mark.parametrize("status", [PaymentStatus.PENDING, PaymentStatus.FAILED])
def test_a_session_without_a_link_is_asked_for_while_it_may_be_paid(
    conversation: Conversation, status: PaymentStatus
) -> None:
    conversation.mark_pending("cs_test_without_a_link")
    asked = {}
    for age in (timedelta(minutes=1), timedelta(hours=24), timedelta(hours=26)):
        changed = {"payment_status": status, "updated_at": timezone.now() - age}
        Conversation.objects.update(**changed)
        asked[age] = list(checkout.unsettled_sessions(older_than=timedelta(minutes=15)))
    assert list(asked.values()) == [[], ["cs_test_without_a_link"], []]


def test_open_links_are_read_page_by_page(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.links.PAGE_SIZE", 2)
    made = [links.linked_session(conversation)["id"] for _ in range(5)]
    CheckoutLink.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert list(checkout.unsettled_sessions(older_than=timedelta(minutes=15))) == made


# --- Whose payment --------------------------------------------------------------------------------

SESSION_EVENTS = ["completed", "async_payment_succeeded", "async_payment_failed", "expired"]


def event_of(session: Json, kind: str, conversation: Conversation) -> Json:
    """An event of a session, or of its PaymentIntent, with the same metadata."""
    if kind.startswith("payment_intent"):
        intent = stripe.declined_intent(conversation, metadata=session["metadata"])
        return stripe.event(kind, intent)
    return stripe.event(f"checkout.session.{kind}", session)


@pytest.mark.parametrize("kind", [*SESSION_EVENTS, "payment_intent.payment_failed"])
@pytest.mark.parametrize(
    ("own", "tag", "has_link", "expected"),
    [
        ("blue", "blue", True, EventStatus.PROCESSED),
        ("blue", "blue", False, EventStatus.PROCESSED),
        ("blue", "green", True, EventStatus.IGNORED),  # a copy of green's database
        ("blue", "green", False, EventStatus.IGNORED),
        ("blue", "", True, EventStatus.PROCESSED),  # made before the variable was set
        ("blue", "", False, EventStatus.IGNORED),
        ("", "", False, EventStatus.PROCESSED),
        ("", "green", True, EventStatus.PROCESSED),  # made before the variable was unset
        ("", "green", False, EventStatus.PROCESSED),
    ],
)
def test_another_deployments_events_are_ignored(
    conversation: Conversation,
    settings: Settings,
    kind: str,
    own: str,
    tag: str,
    has_link: bool,
    expected: EventStatus,
) -> None:
    settings.STRIPE_DEPLOYMENT = own
    session = (links.linked_session if has_link else stripe.session)(conversation)
    session["metadata"] |= {"deployment": tag} if tag else {}
    assert status_after(event_of(session, kind, conversation)) == expected
    if expected == EventStatus.IGNORED:
        assert not Order.objects.exists()
        assert not ApiKey.objects.exists()
        assert payment_status(conversation) == PaymentStatus.UNPAID


@pytest.mark.parametrize("refund_first", [False, True])
def test_refunds_and_disputes_are_never_judged_by_their_tag(
    conversation: Conversation, settings: Settings, refund_first: bool
) -> None:
    settings.STRIPE_DEPLOYMENT = "blue"
    session = links.linked_session(conversation)
    metadata = {"deployment": "green"}
    refund = stripe.refund(session["payment_intent"], 500, metadata=metadata)
    dispute = stripe.dispute(session["payment_intent"], metadata=metadata)
    events = [
        stripe.event("checkout.session.completed", session),
        stripe.event("refund.created", refund),
        stripe.event("charge.dispute.created", dispute),
    ]
    for event in reversed(events) if refund_first else events:
        stripe.deliver(event)
    order = Order.objects.get()
    assert (order.refunded_cents, order.dispute_status) == (500, "needs_response")


@pytest.mark.parametrize(
    "kind", [*SESSION_EVENTS, "payment_intent.payment_failed", "payment_intent.failed"]
)
def test_a_connected_accounts_events_are_ignored(conversation: Conversation, kind: str) -> None:
    session = links.linked_session(conversation)
    event = {**event_of(session, kind, conversation), "account": "acct_1Foreign"}
    assert status_after(event) == EventStatus.IGNORED
    assert not Order.objects.exists()
    assert payment_status(conversation) == PaymentStatus.UNPAID


@pytest.mark.parametrize("before", [True, False])
def test_a_connected_accounts_refund_changes_no_order(
    conversation: Conversation, before: bool
) -> None:
    completed = links.completed(conversation)
    intent = completed["data"]["object"]["payment_intent"]
    refund = {**stripe.event("refund.created", stripe.refund(intent)), "account": "acct_1Foreign"}
    for event in (refund, completed) if before else (completed, refund):
        stripe.deliver(event)
    assert StripeEvent.objects.get(event_id=refund["id"]).status == EventStatus.IGNORED
    assert Order.objects.get().refunded_cents == 0
    call_command("process_events", stdout=StringIO())
    assert Order.objects.get().refunded_cents == 0


@pytest.mark.parametrize("kind", ["completed", "async_payment_succeeded"])
@pytest.mark.parametrize("status", ["unpaid", "", "a_new_one"])
def test_no_key_is_issued_unless_the_session_is_paid(
    conversation: Conversation, kind: str, status: str
) -> None:
    session = links.linked_session(conversation, payment_status=status)
    stripe.deliver(stripe.event(f"checkout.session.{kind}", session))
    assert not ApiKey.objects.exists()
    assert Order.objects.get().status == OrderStatus.PENDING


# --- What staff review ----------------------------------------------------------------------------


def test_a_payment_of_a_session_that_was_never_made_here_completes_and_needs_review(
    conversation: Conversation,
) -> None:
    assert status_after(stripe.completed(conversation, amount_total=1)) == EventStatus.PROCESSED
    order = Order.objects.get()
    assert (order.status, order.amount_cents, order.needs_review) == ("completed", 1, True)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "needs_review"),
    [
        ({}, False),
        ({"amount_subtotal": 2000, "amount_total": 500}, False),  # a discount
        ({"amount_subtotal": 2000, "amount_total": 2380}, False),  # tax
        ({"amount_subtotal": 50, "amount_total": 50}, True),
        ({"amount_total": 1}, True),
        ({"currency": "jpy"}, True),
    ],
)
@pytest.mark.parametrize("delayed", [False, True])
def test_an_amount_before_discounts_and_tax_that_is_not_the_links_needs_review(
    conversation: Conversation, fields: Json, needs_review: bool, delayed: bool
) -> None:
    session = links.linked_session(conversation, **fields)
    if delayed:
        unpaid = {**session, "payment_status": "unpaid"}
        stripe.deliver(stripe.event("checkout.session.completed", unpaid))
        stripe.deliver(stripe.event("checkout.session.async_payment_succeeded", session))
    else:
        stripe.deliver(stripe.event("checkout.session.completed", session))
    assert Order.objects.get().needs_review is needs_review


def test_a_duplicate_and_a_free_order_are_reviewed_too(conversation: Conversation) -> None:
    free = {"payment_status": "no_payment_required", "payment_intent": None, "amount_total": 0}
    stripe.deliver(links.completed(conversation, **free, amount_subtotal=2000))
    stripe.deliver(stripe.completed(conversation, **free))
    assert list(Order.objects.order_by("pk").values_list("is_duplicate", "needs_review")) == [
        (False, False),
        (True, True),
    ]


def test_an_order_that_staff_have_cleared_is_not_flagged_again(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    Order.objects.update(needs_review=False)
    call_command("replay_events", "--force", stdout=StringIO())
    assert Order.objects.get().needs_review is False


@pytest.mark.parametrize(("seconds", "needs_review"), [(0, True), (-1, False)])
def test_a_session_of_the_second_in_which_the_database_was_made_is_judged(
    conversation: Conversation, seconds: int, needs_review: bool
) -> None:
    """By the fast path on PostgreSQL, and by the ordinary one on SQLite."""
    made = timezone.now().replace(microsecond=999_999)
    MigrationRecorder.Migration.objects.update(applied=made)
    created = int(made.timestamp()) + seconds
    stripe.deliver(stripe.completed(conversation, created=created))
    assert Order.objects.get().needs_review is needs_review


@pytest.mark.http
def test_orders_of_a_database_rebuilt_without_links_are_not_flagged(
    local_stripe: RunningSandbox, conversation: Conversation
) -> None:
    customer = checkout.Customer.of(conversation.user)
    session_id = checkout.start_checkout(customer, conversation.pk).id
    local_stripe.pay(session_id)
    events = [stripe.deliver(event) for event in local_stripe.events()]
    assert {event.status_code for event in events} == {200}
    for model in (Order, ApiKey, Grant, CheckoutLink):
        model._default_manager.all().delete()
    conversation.unpay()
    # The database is newer than its sessions.
    MigrationRecorder.Migration.objects.update(applied=timezone.now() + timedelta(seconds=1))
    call_command("replay_events", "--force", stdout=StringIO())
    assert Order.objects.get().needs_review is False
    assert payment_status(conversation) == PaymentStatus.PAID


# --- A failed attempt -----------------------------------------------------------------------------

FAILED_AT = 1_790_000_000


@pytest.mark.parametrize("kind", ["payment_intent.payment_failed", "payment_intent.failed"])
@pytest.mark.parametrize(
    ("of_link", "made_later", "current_has_row", "fails"),
    [
        # The id in the metadata decides, whatever the times are.
        ("current", -60, True, True),
        ("current", 60, True, True),
        ("another", -60, True, False),
        ("another", 60, True, False),
        ("another", -60, False, False),
        # Without an id, or with one that has no row, Stripe's times do.
        *[
            (of_link, made_later, True, made_later <= 0)
            for of_link in ("none", "unknown")
            for made_later in (-60, 0, 1, 60)
        ],
        ("none", 60, False, True),
        ("unknown", 60, False, True),
    ],
)
def test_a_failed_attempt_fails_the_conversation_if_it_is_of_the_current_link(
    conversation: Conversation,
    kind: str,
    of_link: str,
    made_later: int,
    current_has_row: bool,
    fails: bool,
) -> None:
    another = links.linked_session(conversation)
    current = links.linked_session(conversation, created=FAILED_AT + made_later)
    conversation.mark_pending(current["id"])
    if not current_has_row:
        CheckoutLink.objects.filter(stripe_session_id=current["id"]).delete()
    metadata = {
        "current": current["metadata"],
        "another": another["metadata"],
        "none": stripe.reference(conversation),
        "unknown": {**stripe.reference(conversation), "link_id": "link_of_nobody"},
    }[of_link]
    intent = stripe.declined_intent(conversation, metadata=metadata)
    assert status_after(stripe.event(kind, intent, created=FAILED_AT)) == EventStatus.PROCESSED
    assert payment_status(conversation) == ("failed" if fails else "pending")
    assert not Order.objects.exists()
    assert CheckoutLink.objects.filter(closed_at=None).count() == 1 + current_has_row


def test_a_failed_attempt_does_not_fail_a_conversation_with_a_pending_order(
    conversation: Conversation,
) -> None:
    session = links.linked_session(conversation, payment_status="unpaid")
    stripe.deliver(stripe.event("checkout.session.completed", session))
    newer = links.linked_session(conversation)
    conversation.mark_pending(newer["id"])
    intent = stripe.declined_intent(conversation, metadata=newer["metadata"])
    stripe.deliver(stripe.event("payment_intent.payment_failed", intent))
    assert payment_status(conversation) == PaymentStatus.PENDING


COURSES = {
    "card": ["failed", "completed", "refund"],
    "lost dispute": ["failed", "completed", "lost"],
    "refund and lost dispute": ["failed", "completed", "refund", "lost"],
    "delayed": ["failed", "unpaid", "succeeded", "refund"],
    "delayed, failed": ["failed", "unpaid", "async failed"],
    "delayed, never confirmed": ["failed", "unpaid"],
}
END = {"delayed, failed": "failed", "delayed, never confirmed": "pending"}


def course_event(name: str, session: Json, conversation: Conversation) -> Json:
    intent = session["payment_intent"]
    unpaid = {**session, "payment_status": "unpaid"}
    kind, about = {
        "failed": (
            "payment_intent.payment_failed",
            stripe.declined_intent(conversation, id=intent, metadata=session["metadata"]),
        ),
        "completed": ("checkout.session.completed", session),
        "unpaid": ("checkout.session.completed", unpaid),
        "succeeded": ("checkout.session.async_payment_succeeded", session),
        "async failed": ("checkout.session.async_payment_failed", unpaid),
        "refund": ("refund.created", stripe.refund(intent, id=f"re_of_{intent}")),
        "lost": ("charge.dispute.closed", stripe.dispute(intent, "lost", id=f"du_of_{intent}")),
    }[name]
    return stripe.event(kind, about)


def result(conversation: Conversation) -> tuple[object, ...]:
    orders = Order.objects.filter(conversation=conversation)
    return payment_status(conversation), *orders.values_list("status", "refunded_cents")


@pytest.mark.parametrize("has_link", [False, True])
@pytest.mark.parametrize("course", COURSES)
def test_a_failed_attempt_gives_one_result_in_every_order(
    conversation: Conversation, course: str, has_link: bool
) -> None:
    """All events are handled again by force: after each delivery, or after four of them."""
    results = {}
    for order in itertools.permutations(COURSES[course]):
        paid_for = ConversationFactory.create(user=conversation.user)
        session = (links.linked_session if has_link else stripe.session)(paid_for)
        if has_link:
            paid_for.mark_pending(session["id"])
        sent = []
        for name in order:
            event = course_event(name, session, paid_for)
            assert stripe.deliver(event).status_code == 200
            sent.append(event["id"])
            if len(order) < 4 or len(sent) == 4:
                before = result(paid_for)
                for event_id in sent:
                    log.process(event_id, force=True)
                assert result(paid_for) == before
        results[order] = result(paid_for)
    assert len(set(results.values())) == 1, results
    assert results[tuple(COURSES[course])][0] == END.get(course, "unpaid")
