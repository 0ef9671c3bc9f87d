"""A failure to handle an event: the error on its row, a 500, and a retry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from apikeys.models import ApiKey
from billing.models import EventStatus, Order, StripeEvent
from conversations.models import Conversation, PaymentStatus
from testing import stripe_events as stripe

pytestmark = pytest.mark.django_db


@contextmanager
def no_key_can_be_stored() -> Iterator[None]:
    """Make the last write of a fulfilment fail in the database."""
    constraint = "ALTER TABLE api_keys ADD CONSTRAINT refuse_keys CHECK (false) NOT VALID"
    with connection.cursor() as cursor:
        cursor.execute(constraint)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE api_keys DROP CONSTRAINT refuse_keys")


@pytest.mark.postgres
def test_a_failure_changes_nothing_but_the_events_row(
    conversation: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    event = stripe.completed(conversation)
    with no_key_can_be_stored(), caplog.at_level(logging.ERROR):
        response = stripe.deliver(event)
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "event_not_processed"
    stored = StripeEvent.objects.get()
    assert stored.status == EventStatus.FAILED
    assert stored.attempts == 1
    assert "IntegrityError" in stored.last_error
    assert "refuse_keys" in stored.last_error
    assert stored.settled_at is None
    assert not Order.objects.exists()
    assert not ApiKey.objects.exists()
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.UNPAID
    assert event["id"] in caplog.text


@pytest.mark.postgres
def test_a_delivery_after_the_cause_is_fixed_is_handled_once(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    with no_key_can_be_stored():
        assert stripe.deliver(event).status_code == 500
        assert stripe.deliver(event).status_code == 500
    assert StripeEvent.objects.get().attempts == 2
    assert stripe.deliver(event).status_code == 200
    assert stripe.deliver(event).status_code == 200
    stored = StripeEvent.objects.get()
    assert stored.status == EventStatus.PROCESSED
    assert stored.attempts == 3
    assert stored.last_error == ""
    assert Order.objects.count() == 1
    assert ApiKey.objects.count() == 1


@pytest.fixture
def transactions_around_requests() -> Iterator[None]:
    """With ATOMIC_REQUESTS on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        yield


@pytest.mark.usefixtures("transactions_around_requests")
def test_atomic_requests_do_not_roll_back_the_failed_event(
    conversation: Conversation,
) -> None:
    response = stripe.deliver(stripe.completed(conversation, amount_total="a lot"))
    assert response.status_code == 500
    assert response.json()["code"] == "event_not_processed"
    stored = StripeEvent.objects.get()
    assert (stored.status, stored.attempts) == (EventStatus.FAILED, 1)
    assert "no readable amount_total" in stored.last_error


def test_the_recorded_fault_is_not_cut_by_what_was_sent(conversation: Conversation) -> None:
    event = stripe.completed(conversation, object="x" * 60_000, amount_total="a lot")
    assert stripe.deliver(event).status_code == 500
    assert StripeEvent.objects.get().last_error.endswith("x has no readable amount_total.")


@pytest.mark.parametrize("name", ["amount_total", "amount_subtotal"])
@pytest.mark.parametrize("amount", [True, False, "", [], {}, 20.0, -1, 10**12])
def test_an_amount_that_is_no_amount_is_not_guessed(
    conversation: Conversation, name: str, amount: object
) -> None:
    response = stripe.deliver(stripe.completed(conversation, **{name: amount}))
    assert response.status_code == 500
    assert f"no readable {name}" in StripeEvent.objects.get().last_error
    assert not Order.objects.exists()


@contextmanager
def renamed_table(table: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO renamed")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE renamed RENAME TO {table}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize(
    ("table", "code", "is_stored"),
    [("stripe_events", "internal_error", False), ("orders", "event_not_processed", True)],
)
def test_a_database_error_is_no_2xx_and_the_next_delivery_settles_it(
    conversation: Conversation,
    request: pytest.FixtureRequest,
    table: str,
    code: str,
    is_stored: bool,
    atomic: bool,
) -> None:
    if atomic:
        request.getfixturevalue("transactions_around_requests")
    event = stripe.completed(conversation)
    with renamed_table(table):
        response = stripe.deliver(event)
    if connection.vendor == "sqlite" and not is_stored:
        # SQLite's error of a missing table has the class of one that passes.
        expected = (503, "database_unavailable")
    else:
        expected = (500, code)
    assert (response.status_code, response.json()["code"]) == expected
    assert response.headers["Content-Type"] == "application/problem+json"
    assert StripeEvent.objects.filter(status=EventStatus.FAILED).exists() is is_stored
    assert not Order.objects.exists()
    assert stripe.deliver(event).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED
    assert Order.objects.get().grant is not None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_lock_timeout_is_a_500_and_is_retried(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    try:
        with locked_elsewhere(conversation):
            response = stripe.deliver(event)
        assert response.status_code == 500
        assert "lock timeout" in StripeEvent.objects.get().last_error
        assert stripe.deliver(event).status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED


@contextmanager
def locked_elsewhere(conversation: Conversation) -> Iterator[None]:
    """Lock the conversation's row on another connection."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM conversations WHERE id = %s FOR UPDATE", [conversation.pk])
            yield
            cursor.execute("ROLLBACK")
    finally:
        other.close()


def test_a_session_whose_amount_cannot_be_read_fails_and_is_kept(
    conversation: Conversation,
) -> None:
    response = stripe.deliver(stripe.completed(conversation, amount_total="a lot"))
    assert response.status_code == 500
    stored = StripeEvent.objects.get()
    assert stored.status == EventStatus.FAILED
    assert "no readable amount_total" in stored.last_error
    assert not Order.objects.exists()
