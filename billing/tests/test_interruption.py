"""Commands in their own process, interrupted by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.events import log
from billing.management.progress import Terminated, terminable
from billing.models import EventStatus, Order, StripeEvent
from billing.tests.test_backfill import age_everything_by_an_hour, start
from billing.tests.test_commands import failing_event, run
from conversations.models import Conversation
from devtools.pytest_postgres import database_url
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS
from sandbox.testing import RunningSandbox
from testing import stripe_events as stripe
from testing.factories import ConversationFactory

pytestmark = [pytest.mark.http, pytest.mark.django_db(transaction=True)]

TIMEOUT = 30.0
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}

Process = subprocess.Popen[str]


@contextmanager
def manage(*arguments: str) -> Iterator[Process]:
    """A running management command on the test's database; it is killed when the block ends."""
    environment = {**os.environ, **SETTINGS, "DATABASE_URL": database_url()}
    environment["STRIPE_API_BASE"] = settings.STRIPE_API_BASE
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def stop(process: Process, number: signal.Signals) -> tuple[str, str]:
    """Send the signal; return what the process wrote to stdout and to stderr."""
    process.send_signal(number)
    return process.communicate(timeout=TIMEOUT)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def another_connection_waits() -> bool:
    """True if another connection waits for a lock of this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


def are_recorded(conversations: list[Conversation], stripe_: RunningSandbox) -> None:
    for conversation in conversations:
        log.record(stripe.completed(conversation))


def were_abandoned(conversations: list[Conversation], stripe_: RunningSandbox) -> None:
    are_recorded(conversations, stripe_)
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(minutes=2))


def were_not_delivered(conversations: list[Conversation], stripe_: RunningSandbox) -> None:
    for conversation in conversations:
        stripe_.pay(start(conversation))


def have_no_events(conversations: list[Conversation], stripe_: RunningSandbox) -> None:
    were_not_delivered(conversations, stripe_)
    age_everything_by_an_hour()


# What each command has to handle: two payments that …
SITUATIONS = {
    "replay_events": are_recorded,
    "process_events": were_abandoned,
    "fetch_events": were_not_delivered,
    "reconcile_orders": have_no_events,
}


@pytest.mark.postgres
@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("command", SITUATIONS)
def test_an_interrupted_command_prints_its_summary_and_can_be_continued(
    command: str, number: signal.Signals, local_stripe: RunningSandbox
) -> None:
    conversations = [ConversationFactory.create() for _ in range(2)]
    SITUATIONS[command](conversations, local_stripe)
    with manage(command) as process:
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=conversations[1].pk)
            wait_until(another_connection_waits)
            out, err = stop(process, number)
        assert process.returncode == STATUS[number]
    done = Order.objects.count()
    counted = "order completed" if command == "reconcile_orders" else "processed"
    assert out.endswith(f" {done} {counted}\n")
    assert "interrupted; " in err
    assert "Traceback" not in err
    # The interrupted event was rolled back.
    assert not Order.objects.filter(conversation=conversations[1]).exists()
    assert not StripeEvent.objects.filter(status=EventStatus.FAILED).exists()
    run(command)
    # A fetched event is in the event log, and a later command handles it.
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    run("process_events")
    assert Order.objects.completed().count() == 2


@pytest.mark.postgres
def test_an_interrupted_replay_prints_how_to_continue() -> None:
    conversations = [ConversationFactory.create() for _ in range(4)]
    for conversation in conversations:
        stripe.deliver(stripe.completed(conversation))
    with manage("replay_events", "--force") as process, transaction.atomic():
        Conversation.objects.select_for_update().get(pk=conversations[2].pk)
        wait_until(another_connection_waits)
        out, err = stop(process, signal.SIGTERM)
    assert out == "2 events: 2 processed\n"
    _, separator, row = err.strip().rpartition("interrupted; continue with --after ")
    assert separator
    assert run("replay_events", "--force", "--after", row) == "2 events: 2 processed"
    attempts = StripeEvent.objects.values_list("attempts", flat=True)
    assert list(attempts) == [2] * 4  # each was handled once more


@contextmanager
def undeletable(event_id: str) -> Iterator[None]:
    """Deleting the event waits for a lock of this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(1)")
        cursor.execute(
            "CREATE FUNCTION wait_to_delete() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN OLD; END'"
        )
        cursor.execute(
            "CREATE TRIGGER wait_to_delete BEFORE DELETE ON stripe_events FOR EACH ROW"
            f" WHEN (OLD.event_id = '{event_id}') EXECUTE FUNCTION wait_to_delete()"
        )
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(1)")
            cursor.execute("DROP FUNCTION wait_to_delete CASCADE")


@pytest.mark.postgres
@pytest.mark.parametrize("number", STATUS)
def test_interrupted_pruning_has_deleted_as_many_as_it_prints(number: signal.Signals) -> None:
    long_ago = timezone.now() - timedelta(days=100)
    StripeEvent.objects.bulk_create(
        StripeEvent(
            event_id=f"evt_old_{row}",
            type="x",
            payload={},
            status=EventStatus.IGNORED,
            created_at=long_ago,
            settled_at=long_ago,
        )
        for row in range(1500)
    )
    with undeletable("evt_old_1400"), manage("prune_events", "--older-than=90") as process:
        wait_until(another_connection_waits)
        out, err = stop(process, number)
        assert process.returncode == STATUS[number]
    assert out == "1,000 events: 1,000 deleted\n"
    assert err == "CommandError: interrupted; it may be run again\n"
    assert StripeEvent.objects.count() == 500
    assert run("prune_events", "--older-than", 90) == "500 events: 500 deleted"


@pytest.mark.parametrize("number", STATUS)
def test_the_loop_handles_due_events_until_it_is_stopped(number: signal.Signals) -> None:
    event = failing_event()
    event.payload["data"]["object"]["amount"] = 500  # fix the cause
    event.next_attempt_at = timezone.now() + timedelta(seconds=4)
    event.save()
    with manage("process_events", "--loop", "0.1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1 events: 1 unmatched\n"
        first = StripeEvent.objects.get()
        assert first.updated_at >= event.next_attempt_at
        parked = failing_event()
        StripeEvent.objects.filter(pk=parked.pk).update(next_attempt_at=timezone.now())
        assert process.stdout.readline() == "1 events: 1 failed\n"
        out, err = stop(process, number)
        assert out == "interrupted; in total 2 events: 1 unmatched, 1 failed\n"
        assert "KeyboardInterrupt" not in err
        assert "Terminated" not in err
        assert process.returncode == 0


def test_the_loop_reconnects_after_its_connection_was_lost() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no server")
    with manage("process_events", "--loop", "2") as process:
        assert process.stdout is not None
        for _ in range(3):
            event = failing_event()
            StripeEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now())
            assert process.stdout.readline() == "1 events: 1 failed\n"
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        _, err = stop(process, signal.SIGTERM)
    assert "does not answer" not in err


def test_the_previous_signal_handler_is_restored() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == former


def test_commands_run_in_threads_without_a_signal_handler() -> None:
    output: list[str] = []

    def replay() -> None:
        try:
            output.append(run("replay_events"))
        finally:
            connection.close()

    thread = threading.Thread(target=replay)
    thread.start()
    thread.join(TIMEOUT)
    assert output == ["0 events"]
