"""Stress test: shuffled concurrent deliveries over HTTP while servers crash.

Every payment must end as its script says. `make test` does short runs; `make soak` does many long
ones and prints a line for each.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from billing import checkout
from billing.events import backfill
from billing.models import Order, StripeEvent
from billing.tests.stress_listeners import Listeners, listening
from billing.tests.stress_scripts import NOTHING, Payment, deliveries, payments
from billing.tests.stress_servers import (
    Answers,
    App,
    Failure,
    RestartingCluster,
    every,
    running_app,
    send_all,
)
from billing.tests.test_commands import everything
from notifications.models import Notification
from sandbox.testing import RunningSandbox
from testing import outbox
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.keys import issued_key
from testing.mail_server import MailServer

pytestmark = [pytest.mark.postgres, pytest.mark.http, pytest.mark.timeout(900)]

SEEDS = range(int(os.environ.get("STRESS_SEEDS", "2")))
CONVERSATIONS = int(os.environ.get("STRESS_CONVERSATIONS", "300"))

Servers = tuple[RestartingCluster, App]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with RestartingCluster() as cluster, running_app(cluster) as app:
        yield cluster, app


def create_payments(cluster: RestartingCluster, count: int) -> list[Payment]:
    """Scripted payments, each with a user and a conversation with a link."""
    with psycopg.connect(cluster.url()) as database:
        users = database.execute(
            "INSERT INTO users (email) SELECT gen_random_uuid() || '@example.com'"
            " FROM generate_series(1, %s) RETURNING id",
            [count],
        ).fetchall()
        rows = database.execute(
            "INSERT INTO conversations (user_id, title) SELECT unnest(%s::bigint[]), 'storm'"
            " RETURNING id, user_id",
            [[row[0] for row in users]],
        ).fetchall()
        scripted = payments([(row[0], row[1]) for row in rows])
        with database.cursor() as cursor:
            cursor.executemany(
                "UPDATE conversations SET payment_status = 'pending', stripe_session_id = %s"
                " WHERE id = %s",
                [(payment.session_id, payment.conversation_id) for payment in scripted],
            )
    return scripted


def ends(cluster: RestartingCluster) -> dict[int, tuple[object, ...]]:
    """The state of each conversation: its orders, its status, its keys, the refunded cents."""
    orders: defaultdict[int, list[str]] = defaultdict(list)
    keys: defaultdict[int, list[str]] = defaultdict(list)
    refunded: defaultdict[int, int] = defaultdict(int)
    with psycopg.connect(cluster.url()) as database:
        conversations = database.execute("SELECT id, payment_status FROM conversations").fetchall()
        for conversation, status, cents, revoked, suspended, key in database.execute(
            "SELECT o.conversation_id, CASE WHEN is_duplicate THEN upper(status) ELSE status END,"
            " refunded_cents, g.revoked_at, g.suspended_at, k.id"
            " FROM orders o LEFT JOIN grants g ON g.id = o.grant_id"
            " LEFT JOIN api_keys k ON k.grant_id = g.id"
        ):
            orders[conversation].append(status)
            refunded[conversation] += cents
            if key is not None:
                state = "revoked" if revoked else "suspended" if suspended else "live"
                keys[conversation].append(state)
        without_order = database.execute(
            "SELECT count(*) FROM api_keys WHERE grant_id NOT IN"
            " (SELECT grant_id FROM orders WHERE grant_id IS NOT NULL)"
        ).fetchone()
    assert without_order == (0,)
    return {
        pk: (tuple(sorted(orders[pk])), status, tuple(sorted(keys[pk])), refunded[pk])
        for pk, status in conversations
    }


def unsettled(cluster: RestartingCluster) -> dict[str, str]:
    with psycopg.connect(cluster.url()) as database:
        rows = database.execute(
            "SELECT event_id, status FROM stripe_events"
            " WHERE status NOT IN ('processed', 'ignored')"
        ).fetchall()
    return dict(rows)


def stored(cluster: RestartingCluster) -> set[str]:
    with psycopg.connect(cluster.url()) as database:
        return {row[0] for row in database.execute("SELECT event_id FROM stripe_events")}


def assert_all_ended_as_scripted(cluster: RestartingCluster, scripted: list[Payment]) -> None:
    ended = ends(cluster)
    wrong = {
        payment.conversation_id: (payment.script, payment.expected, ended[payment.conversation_id])
        for payment in scripted
        if ended[payment.conversation_id] != payment.expected
    }
    assert wrong == {}
    # Only the events of another product or mode stay unsettled.
    waiting = {
        event["id"]
        for payment in scripted
        if payment.expected == NOTHING
        for event in payment.events
    }
    left = unsettled(cluster)
    assert set(left.values()) <= {"unmatched"}
    ours = {event["id"] for payment in scripted for event in payment.all_events}
    assert set(left) & ours <= waiting


def assert_outbox_is_complete(cluster: RestartingCluster) -> None:
    """Each transition has exactly one row, and none holds a secret."""
    with psycopg.connect(cluster.url()) as database:
        found = {rule: database.execute(query).fetchall() for rule, query in outbox.FAULTS.items()}
    assert {rule: rows for rule, rows in found.items() if rows} == {}


def assert_everything_was_told(
    cluster: RestartingCluster, scripted: list[Payment], listeners: Listeners
) -> None:
    """By the list once and in order, and by webhooks at least once, each under its id."""
    receiver, reader = listeners.receiver, listeners.reader
    ours = {payment.conversation_id for payment in scripted}
    with psycopg.connect(cluster.url()) as database:
        rows = database.execute(
            "SELECT kind, cause, conversation_id FROM outbox WHERE is_event AND"
            " conversation_id = ANY(%s) ORDER BY id",
            [list(ours)],
        ).fetchall()
    ids = [(row[2], Notification(kind=row[0], cause=row[1]).public_id) for row in rows]
    listed = [
        (event["data"]["conversationId"], event["id"])
        for event in reader.events
        if event["data"]["conversationId"] in ours
    ]
    assert in_conversations(listed) == in_conversations(ids)
    positions = [event["position"] for event in reader.events]
    assert positions == sorted(set(positions))
    assert {event["id"] for event in receiver.accepted} >= {told for _, told in ids}
    refused = len(receiver.requests) - len(receiver.accepted)
    assert refused >= len(receiver.accepted) // 3
    states = outbox.told_states(reader.events)
    assert {states[key] for key in states} <= {"live", "suspended", "revoked"}
    for payment in scripted:
        keys = {
            key
            for event in reader.events
            if event["data"]["conversationId"] == payment.conversation_id
            for key in event["data"].get("keyIds", ())
        }
        assert tuple(sorted(states[key] for key in keys)) == payment.expected[2]


def assert_every_mail_was_sent(
    cluster: RestartingCluster, scripted: list[Payment], mails: MailServer
) -> None:
    """Each row's mail once, or again with the same Message-ID where a kill came in between."""
    ours = [payment.conversation_id for payment in scripted]
    with psycopg.connect(cluster.url()) as database:
        rows = database.execute(
            "SELECT kind, cause, mail_status, mail_attempts FROM outbox"
            " WHERE mail_status <> 'none' AND conversation_id = ANY(%s)",
            [ours],
        ).fetchall()
    received = Counter(message["Message-ID"][1:].partition("@")[0] for message in mails.received)
    assert {row[0] for row in rows if row[2] != "sent"} <= {"payment.declined", "payment.pending"}
    assert {"order.completed", "order.refunded"} <= {row[0] for row in rows}
    for kind, cause, status, attempts in rows:
        row = Notification(kind=kind, cause=cause)
        times = received[row.public_id]
        assert 1 <= times <= attempts if status == "sent" else times == 0, (row, times, attempts)
    assert not any("sk_" in message.as_string() for message in mails.received)


def in_conversations(told: list[tuple[int, str]]) -> dict[int, list[str]]:
    """The ids by conversation, in their order."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for conversation_id, event_id in told:
        found[conversation_id].append(event_id)
    return dict(found)


def stress(
    servers: Servers,
    seed: int,
    *,
    count: int,
    chaos: Callable[[], None] | None = None,
    explained: Callable[[Failure], bool] = lambda failure: False,
) -> list[Payment]:
    """Deliver everything; each answer other than 200 must be `explained`."""
    cluster, app = servers
    scripted = create_payments(cluster, count)
    waves = deliveries(scripted, seed=seed)
    sent = [event for wave in waves for event in wave]
    answers = Answers()
    started = time.monotonic()
    with ExitStack() as stack:
        if chaos is not None:
            stack.enter_context(every(1.0, chaos))
        for wave in waves:
            send_all(app.port, wave, answers)
    took = time.monotonic() - started
    print(  # noqa: T201 - shown by `make soak`
        f"seed {seed}: {count} conversations, {len(sent)} deliveries in {took:.0f} s,"
        f" answers {dict(answers.statuses)} (None: no answer),"
        f" {cluster.deadlocks} deadlocks"
    )
    assert cluster.deadlocks == 0
    assert [failure for failure in answers.failures if not explained(failure)] == []
    assert answers.acknowledged == {event["id"] for event in sent}
    assert answers.acknowledged <= stored(cluster)
    assert_all_ended_as_scripted(cluster, scripted)
    assert_outbox_is_complete(cluster)
    return scripted


@pytest.mark.parametrize("seed", SEEDS)
def test_every_payment_ends_as_scripted(servers: Servers, seed: int) -> None:
    stress(servers, seed, count=CONVERSATIONS)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_payment_ends_as_scripted_while_a_worker_is_killed_every_second(
    servers: Servers, seed: int
) -> None:
    app = servers[1]
    kills = len(app.kills)

    def explained(failure: Failure) -> bool:
        """The worker of the connection was killed; no other error is accepted."""
        return failure.status is None and any(map(failure.during.overlaps, app.kills))

    with listening(*servers) as listeners:
        scripted = stress(
            servers, seed, count=CONVERSATIONS, chaos=app.kill_a_worker, explained=explained
        )
    assert len(app.kills) > kills
    assert_everything_was_told(servers[0], scripted, listeners)
    assert_every_mail_was_sent(servers[0], scripted, listeners.mails)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_payment_ends_as_scripted_while_the_database_crashes(
    servers: Servers, seed: int
) -> None:
    cluster, _ = servers
    crashes = len(cluster.outages)
    turn = iter(range(10_000))

    def crash_every_fourth_time() -> None:
        if next(turn) % 4 == 0:  # it needs time to recover
            cluster.crash()

    def explained(failure: Failure) -> bool:
        """The database was down."""
        return failure.status in (500, 503) and any(map(failure.during.overlaps, cluster.outages))

    stress(
        servers,
        seed,
        count=CONVERSATIONS,
        chaos=crash_every_fourth_time,
        explained=explained,
    )
    assert len(cluster.outages) > crashes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(2))
def test_replays_fetches_reconciliation_and_deliveries_run_concurrently(
    local_stripe: RunningSandbox, deadlocks: Callable[[], list[str]], round_: int
) -> None:
    conversations = [ConversationFactory.create() for _ in range(12)]
    for number, conversation in enumerate(conversations):
        customer = checkout.Customer.of(conversation.user)
        session_id = checkout.start_checkout(customer, conversation.pk).id
        local_stripe.pay(session_id)
        intent = local_stripe.object(local_stripe.object(session_id)["payment_intent"])
        if number % 3 == 0:
            local_stripe.refund(intent["latest_charge"])
    local_stripe.wait_idle()
    events = local_stripe.events()
    delivered = events[: len(events) * 2 // 3]  # the rest arrives by fetch_events only
    concurrently(
        lambda: [stripe.deliver(event) for event in delivered],
        lambda: [stripe.deliver(event) for event in reversed(delivered)],
        lambda: call_command("replay_events", "--force"),
        lambda: call_command("replay_events", "--force"),
        lambda: call_command("fetch_events"),
        lambda: call_command("fetch_events", "--from-start"),
        lambda: call_command("reconcile_orders", "--older-than", "0"),
    )
    assert deadlocks() == []
    handled = {event["id"] for event in events if event["type"] in backfill.EVENT_TYPES}
    assert handled <= set(StripeEvent.objects.values_list("event_id", flat=True))
    assert not StripeEvent.objects.unsettled().exists()
    for number, conversation in enumerate(conversations):
        conversation.refresh_from_db()
        order = Order.objects.get(conversation=conversation)
        assert order.status == "completed"
        refunded = number % 3 == 0
        assert conversation.payment_status == ("unpaid" if refunded else "paid")
        assert issued_key(order).may_authenticate() is not refunded
    before = everything()
    call_command("replay_events", "--force")
    assert everything() == before


def concurrently(*actions: Callable[[], object]) -> None:
    """Run every action in its own thread; raise the first exception."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> None:
        barrier.wait(timeout=10)
        try:
            action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(run, action) for action in actions]:
            done.result()


def test_the_database_directory_is_deleted(tmp_path: Path) -> None:
    with RestartingCluster() as cluster:
        cluster.crash()
        directory = cluster.directory
    assert not directory.exists()
