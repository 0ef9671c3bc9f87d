"""The fast path writes what the ordinary path writes, and leaves every other case to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, models
from django.utils import timezone

from apikeys.models import ApiKey, Grant
from billing import fast_path
from billing.events import log
from billing.models import CheckoutLink, EventStatus, Order, StripeEvent
from conversations.models import Conversation, PaymentStatus
from notifications.models import Notification
from restapi import prepared_sql
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.keys import issued_key
from testing.links import linked_session

pytestmark = pytest.mark.django_db
Json = dict[str, Any]
PAID_LATER = "checkout.session.async_payment_succeeded"


@pytest.fixture(autouse=True)
def preparing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_sql._Preparing, "enabled", True)


@pytest.fixture
def on_postgres() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has the ordinary path only")


def _of_another_conversations_link(conversation: Conversation) -> Json:
    session = linked_session(ConversationFactory.create())
    return {**session, "metadata": stripe.reference(conversation)}


def _closed(conversation: Conversation) -> Json:
    CheckoutLink.objects.update(closed_at=timezone.now())
    return linked_session(conversation)


def _without_a_known_amount(conversation: Conversation) -> Json:
    session = linked_session(conversation, currency="eur")
    CheckoutLink.objects.update(amount_cents=None)
    return session


def _with_a_receipt(conversation: Conversation) -> Json:
    session = linked_session(conversation)
    charge = stripe.refunded_charge(session["payment_intent"], 0, receipt_url="https://stripe/r")
    log.record(stripe.event("charge.succeeded", charge))
    return session


# Sessions, and whether the order needs a review.
SESSIONS: dict[str, tuple[Callable[[Conversation], Json], bool]] = {
    "as its link says": (linked_session, False),
    "with a discount": (lambda it: linked_session(it, amount_subtotal=2000, amount_total=5), False),
    "with a closed link": (_closed, False),
    "of a link whose amount is not known": (_without_a_known_amount, False),
    "with a receipt": (_with_a_receipt, False),
    "of another amount": (lambda it: linked_session(it, amount_total=4999), True),
    "of another currency": (lambda it: linked_session(it, currency="eur"), True),
    "converted by Stripe": (
        lambda it: linked_session(
            it,
            amount_total=1800,
            currency="eur",
            currency_conversion={"amount_subtotal": 2000, "source_currency": "usd"},
        ),
        False,
    ),
    "of another conversation's link": (_of_another_conversations_link, True),
    "without a link": (stripe.session, True),
    "without a link or a time": (lambda it: stripe.session(it, created=None), True),
    "older than the database": (lambda it: stripe.session(it, created=1_700_000_000), False),
}


@pytest.mark.usefixtures("on_postgres")
@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("kind", ["checkout.session.completed", PAID_LATER])
@pytest.mark.parametrize("failed_before", [False, True])
def test_the_fast_path_writes_every_column_as_the_ordinary_path_does(
    name: str, kind: str, failed_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    fast = fast_path.try_fulfil
    build, needs_review = SESSIONS[name]
    for path in (fast, lambda event: False):
        conversation = ConversationFactory.create()
        session = build(conversation)
        event = log.record(stripe.event(kind, session))
        if failed_before:
            StripeEvent.objects.get(event_id=event["id"]).mark_failed(ValueError("the first time"))
        done: list[bool] = []
        monkeypatch.setattr(fast_path, "try_fulfil", _watched(path, done))
        log.process_new(event)
        took_it = path is fast and not failed_before
        assert done == [took_it]
        order = Order.objects.get(stripe_session_id=session["id"])
        stored = StripeEvent.objects.filter(event_id=event["id"])
        key = issued_key(order)
        outcome = f"order {order.pk} completed, key {key.pk} issued"
        assert stored.get().outcome == outcome + ("; it needs review" if needs_review else "")
        assert order.needs_review is needs_review
        if took_it:  # clock_timestamp(), not the start of the transaction
            assert order.paid_at is not None
            assert order.created_at <= order.paid_at <= order.updated_at
        rows.append(
            [
                _comparable(stored, conversation),
                _comparable(Order.objects.filter(pk=order.pk), conversation),
                _comparable(Grant.objects.filter(orders=order), conversation),
                _comparable(ApiKey.objects.filter(pk=key.pk), conversation),
                _comparable(Conversation.objects.filter(pk=conversation.pk), conversation),
                *_told(order, key.pk),
                *(
                    _comparable(CheckoutLink.objects.filter(pk=link.pk), None)
                    for link in CheckoutLink.objects.filter(stripe_session_id=session["id"])
                ),
            ]
        )
    assert rows[0] == rows[1]


def _told(order: Order, key_id: int) -> list[dict[str, object]]:
    """The rows of the outbox, in their order, without the payment's own values."""
    rows = Notification.objects.filter(cause=order.stripe_session_id).order_by("pk")
    for row in rows:
        assert (row.user_id, row.conversation_id) == (order.user_id, order.conversation_id)
        assert (row.data["orderId"], row.data["sessionId"]) == (order.pk, row.cause)
        assert row.data.get("keyIds", [key_id]) == [key_id]
    own = {"id", "cause", "user_id", "conversation_id", "data", "created_at"}
    varying = {"orderId", "sessionId", "keyIds"}
    return [
        {
            **{name: value for name, value in row.items() if name not in own},
            "mail_due_at": row["mail_due_at"] is not None,
            "data": {name: row["data"][name] for name in row["data"].keys() - varying},
            "names": sorted(row["data"]),
        }
        for row in rows.values()
    ]


def _watched(path: Callable[[Json], bool], done: list[bool]) -> Callable[[Json], bool]:
    def watched(event: Json) -> bool:
        done.append(path(event))
        return done[-1]

    return watched


def _comparable(rows: models.QuerySet[Any], conversation: Conversation | None) -> dict[str, object]:
    """The row without the payment's own values; for a time, whether there is one."""
    row = rows.values().get()
    own = {"id", "title", "key_hash", "key_prefix", "grant_id", "stripe_session_id", "payload"}
    own |= {"stripe_payment_intent_id", "payment_intent_id", "event_id", "object_id", "outcome"}
    own |= {"link_id"}
    mine = {"user_id", "conversation_id"}
    if conversation is not None:
        assert row.get("user_id", conversation.user_id) == conversation.user_id
        assert row.get("conversation_id", conversation.pk) == conversation.pk
    return {
        name: value is not None if name.endswith("_at") or name in own else value
        for name, value in row.items()
        if name not in mine
    }


def _completed(conversation: Conversation, **fields: Any) -> Json:
    return log.record(stripe.completed(conversation, **fields))


def _settled(conversation: Conversation) -> Json:
    event = _completed(conversation)
    log.process(event["id"])
    return event


def _of_a_session_with_an_order(conversation: Conversation) -> Json:
    waiting = _completed(conversation, payment_status="unpaid")
    log.process(waiting["id"])
    return log.record(stripe.event(PAID_LATER, {**waiting["data"]["object"]}))


def _of_a_paid_conversation(conversation: Conversation) -> Json:
    _settled(conversation)
    return _completed(conversation)


def _of_another_owner(conversation: Conversation) -> Json:
    other = ConversationFactory.create(user__email="another@example.com")
    metadata = {**stripe.reference(conversation), "user_id": str(other.user_id)}
    return _completed(conversation, metadata=metadata)


def _refunded_before(conversation: Conversation) -> Json:
    refund = log.record(stripe.event("refund.created", stripe.refund("pi_early")))
    log.process(refund["id"])
    return _completed(conversation, payment_intent="pi_early")


def _refund_recorded_only(conversation: Conversation) -> Json:
    log.record(stripe.event("refund.created", stripe.refund("pi_early")))
    return _completed(conversation, payment_intent="pi_early")


UNUSUAL: dict[str, Callable[[Conversation], Json]] = {
    "settled": _settled,
    "a session with an order": _of_a_session_with_an_order,
    "a paid conversation": _of_a_paid_conversation,
    "another owner": _of_another_owner,
    "an owner beyond all ids": lambda it: _completed(
        it, metadata={**stripe.reference(it), "user_id": "9" * 19}
    ),
    "a refund waits": _refunded_before,
    "a refund is about to wait": _refund_recorded_only,
    "no money": lambda it: _completed(it, payment_status="unpaid"),
    "no payment intent": lambda it: _completed(it, payment_intent=None),
    "a connected account": lambda it: log.record(
        {**stripe.completed(it), "account": "acct_1Foreign"}
    ),
    "no amount": lambda it: _completed(it, amount_subtotal=None, amount_total=None),
    "live mode": lambda it: _completed(it, livemode=True),
    "another product": lambda it: _completed(it, metadata={}),
    "another type": lambda it: log.record(
        stripe.event("checkout.session.expired", stripe.session(it))
    ),
    "no conversation": lambda it: _completed(
        it, metadata={**stripe.reference(it), "conversation_id": "9999999"}
    ),
    "not stored": stripe.completed,
}


def test_an_event_that_failed_is_handled_as_stored_whatever_is_delivered(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    unreadable = {**event["data"]["object"], "id": 50}
    assert stripe.deliver({**event, "data": {"object": unreadable}}).status_code == 500
    assert stripe.deliver(event).status_code == 500
    assert not Order.objects.exists()
    assert StripeEvent.objects.get().attempts == 2


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_the_fast_path_leaves_every_other_case_unchanged(
    unusual: str, conversation: Conversation
) -> None:
    event = UNUSUAL[unusual](conversation)
    before = _everything()
    assert not fast_path.try_fulfil(event)
    assert _everything() == before


def _everything() -> list[Json]:
    models_touched: list[type[models.Model]] = [StripeEvent, Order, ApiKey, Conversation]
    return [
        row for model in models_touched for row in model._default_manager.order_by("pk").values()
    ]


def test_sqlite_has_the_ordinary_path_only(conversation: Conversation) -> None:
    event = _completed(conversation)
    assert fast_path.try_fulfil(event) == (connection.vendor == "postgresql")
    log.process_new(event)
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PAID


@pytest.fixture
def own_connection() -> Iterator[None]:
    yield
    connection.close()  # and its prepared statements


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("on_postgres", "own_connection")
def test_behind_a_pooler_statements_are_no_longer_prepared(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(stripe.completed(ConversationFactory.create()))  # prepares the statements
    with connection.cursor() as cursor:  # as if a pooler had switched the server connection
        cursor.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    assert stripe.deliver(event).status_code == 200
    assert not prepared_sql._Preparing.enabled
    assert StripeEvent.objects.filter(status=EventStatus.PROCESSED).count() == 2
