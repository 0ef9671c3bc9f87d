"""Statements that are put together once say what the ORM would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

import statements
from apikeys.models import ApiKey
from billing import facts, fulfilment
from billing.models import EventStatus, Order, StripeEvent, lock_event
from billing.tests import stripe_events as stripe
from conversations.models import Conversation
from conversations.tests.factories import ConversationFactory

pytestmark = pytest.mark.django_db

find_event = statements.Find(lambda pk: StripeEvent.objects.filter(pk=pk))


@pytest.fixture(autouse=True)
def preparing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_preparing", {"is on": True})


@pytest.fixture
def event(conversation: Conversation) -> StripeEvent:
    stripe.deliver(stripe.completed(conversation))
    return StripeEvent.objects.get()


def columns(row: StripeEvent) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_row_is_found_as_the_orm_finds_it(event: StripeEvent) -> None:
    found = lock_event(event.event_id)
    assert found == event
    assert columns(found) == columns(event)
    assert not found._state.adding


def test_a_row_that_is_not_there_is_none() -> None:
    assert find_event(0) is None


@pytest.mark.django_db(transaction=True)
def test_a_lock_wants_a_transaction(event: StripeEvent) -> None:
    with pytest.raises(TransactionManagementError):
        lock_event(event.event_id)
    assert find_event(event.pk) == event


def test_a_queryset_has_one_placeholder_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="one placeholder"):
        statements.Find(lambda pk: StripeEvent.objects.filter(pk=pk, type="x"))(1)


def test_an_event_is_settled_in_all_its_columns(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation, metadata={}))
    event = StripeEvent.objects.get()
    event.fail(ValueError("it did not work"))
    before = columns(StripeEvent.objects.get())
    event.settle(EventStatus.PROCESSED, "it is 5 o'clock: 100 %", conversation.pk)
    after = columns(StripeEvent.objects.get())
    assert after == columns(event)
    assert after["outcome"] == "it is 5 o'clock: 100 %"
    assert {name for name in after if after[name] != before[name]} == {
        "status",
        "outcome",
        "conversation_id",
        "attempts",
        "last_error",
        "settled_at",
        "next_attempt_at",
        "updated_at",
    }


@pytest.fixture
def on_postgres() -> Iterator[None]:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL plans ahead")
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # what they prepared is gone


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("on_postgres")
def test_behind_a_pooler_one_event_fails_and_no_other(conversation: Conversation) -> None:
    told = stripe.completed(conversation)
    stripe.deliver(stripe.completed(ConversationFactory.create()))  # the statements are planned
    with connection.cursor() as cursor:  # as if another server process had come in between
        cursor.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    assert stripe.deliver(told).status_code == 500
    assert stripe.deliver(told).status_code == 200
    assert StripeEvent.objects.filter(status=EventStatus.PROCESSED).count() == 2


@pytest.mark.usefixtures("on_postgres")
def test_one_statement_writes_what_many_would(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for at_once in (True, False):
        if not at_once:
            monkeypatch.setattr(fulfilment, "_fulfil_at_once", lambda session: None)
        conversation = ConversationFactory.create(user__email=f"{at_once}@example.com")
        event = stripe.completed(conversation, amount_total=4999, currency="eur")
        session = facts.checkout_session(event["data"]["object"])
        assert session is not None
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            result = fulfilment.fulfil(session)
        assert (len(queries) == 0) is at_once  # by Django's cursors, that is
        assert result.order is not None
        assert result.conversation_id == conversation.pk
        assert result.text == (
            f"order {result.order.pk} completed, key {result.order.api_key_id} issued"
        )
        rows.append(
            [
                _alike(Order.objects.filter(pk=result.order.pk), conversation),
                _alike(ApiKey.objects.filter(order=result.order), conversation),
                _alike(Conversation.objects.filter(pk=conversation.pk), conversation),
            ]
        )
    assert rows[0] == rows[1]


def _alike(rows: models.QuerySet[Any], conversation: Conversation) -> dict[str, object]:
    """The row without what differs from payment to payment; of a time, whether there is one."""
    row = rows.values().get()
    own = {"id", "title", "key_hash", "key_prefix", "api_key_id", "stripe_session_id"}
    own |= {"stripe_payment_intent_id"}
    mine = {"user_id": conversation.user_id, "conversation_id": conversation.pk}
    assert all(row[name] == value for name, value in mine.items() if name in row)
    return {
        name: value is not None if name.endswith("_at") or name in own else value
        for name, value in row.items()
        if name not in mine
    }
