"""Behind PgBouncer in transaction mode: each transaction may get another server connection."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.cache.invalidation import LISTENER, connection_parameters
from apikeys.cache.store import CACHE
from apikeys.models import ApiKey
from billing.models import StripeEvent
from billing.stripe import client
from conversations.models import Conversation, PaymentStatus
from devtools import debian
from restapi import prepared_sql
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import ConversationFactory
from testing.keys import revealed_key

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

PORT = 6432
SERVERS = 3
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr =
listen_port = {own_port}
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
server_round_robin = 1
ignore_startup_parameters = options
"""
SETTINGS = "SHOW lock_timeout; SHOW statement_timeout; SHOW synchronous_commit; SHOW TimeZone"


@pytest.fixture
def pooler(django_db_setup: None, settings: Settings) -> Iterator[dict[str, Any]]:
    """PgBouncer before the tests' database, in use by Django; the parameters to connect to it."""
    program = debian.find("pgbouncer")
    if program is None:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent(debian.missing("pgbouncer"))
    direct = connection_parameters()
    with (
        tempfile.TemporaryDirectory(prefix="payflow-pooler-") as directory,
        ExitStack() as stack,
    ):
        configuration = Path(directory) / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=direct.get("host", ""),
                port=direct.get("port", 5432),
                user=direct["user"],
                password=f" password='{direct['password']}'" if direct.get("password") else "",
                own_port=PORT,
                directory=directory,
                servers=SERVERS,
            )
        )
        server = subprocess.Popen(  # noqa: S603
            [*_as_another_user(), program, "-q", str(configuration)],
            stderr=subprocess.DEVNULL,
        )
        stack.callback(server.wait)
        stack.callback(server.kill)
        parameters = {**direct, "host": directory, "port": PORT}
        _wait_for(parameters, server)
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.callback(connection.close)
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", directory)
        monkeypatch.setitem(connection.settings_dict, "PORT", PORT)
        _use_every_server(parameters)
        yield parameters


@pytest.fixture
def direct_url(django_db_setup: None, settings: Settings) -> Iterator[None]:
    """DATABASE_DIRECT_URL leads past the pooler, to the tests' database."""
    direct = connection_parameters()
    settings.DATABASE_DIRECT = {
        "HOST": direct.get("host", ""),
        "PORT": direct.get("port", ""),
        "USER": direct["user"],
        "PASSWORD": direct.get("password", ""),
        "NAME": direct["dbname"],
    }
    yield
    LISTENER.stop()


def _as_another_user() -> list[str]:
    """PgBouncer refuses to run as root."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


def _wait_for(parameters: dict[str, Any], server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(**parameters).close()
        except psycopg.OperationalError:
            assert server.poll() is None, "PgBouncer has ended"
            assert time.monotonic() < ends, "PgBouncer does not answer"
            time.sleep(0.01)
        else:
            return


def _use_every_server(parameters: dict[str, Any], statement: str = "SELECT 1") -> list[list[Any]]:
    """Run the statements on every server connection at the same time; return their results."""
    with ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(**parameters)) for _ in range(SERVERS)]
        results: list[list[Any]] = []
        pids = set()
        for each in clients:
            row = each.execute("SELECT pg_backend_pid()").fetchone()
            assert row
            pids.add(row[0])
            results.append([each.execute(part).fetchone() for part in statement.split(";")])
        assert len(pids) == SERVERS
    return results


def test_reconcile_orders_reads_all_its_pages(
    pooler: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "retrieve_session", lambda session_id: None)
    for number, each in enumerate(ConversationFactory.create_batch(7)):
        each.mark_pending(f"cs_test_{number}")
    Conversation.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    assert Conversation.objects.filter(payment_status=PaymentStatus.PENDING).count() == 7
    out = StringIO()
    call_command("reconcile_orders", stdout=out)
    assert out.getvalue() == "7 sessions: 7 unknown to Stripe\n"


def test_no_cursor_of_the_server_outlives_its_transaction(pooler: dict[str, Any]) -> None:
    ConversationFactory.create_batch(7)
    assert sum(1 for _ in Conversation.objects.iterator(chunk_size=2)) == 7


def test_no_setting_is_carried_over_to_another_client(
    pooler: dict[str, Any], stranger: User, conversation: Conversation
) -> None:
    before = _use_every_server(pooler, SETTINGS)
    key, secret = revealed_key(stranger)
    api = bearer(issue_access(stranger))
    for _ in range(SERVERS):
        assert Client().get("/readyz").status_code == 200
        assert api.post("/api/conversations", {"title": "x"}, format="json").status_code == 201
        assert bearer(secret).get("/api/api-keys/verify").status_code == 204
        stripe.deliver(stripe.completed(conversation))
    assert StripeEvent.objects.exists()
    ends = time.monotonic() + 20
    while not LISTENER._warned:  # it has seen the pooler
        assert time.monotonic() < ends
        time.sleep(0.01)
    key.refresh_from_db()
    assert key.last_used_at is not None
    LISTENER.stop()
    assert _use_every_server(pooler, SETTINGS) == before
    listening = _use_every_server(pooler, "SELECT count(*) FROM pg_listening_channels()")
    assert listening == [[(0,)]] * SERVERS


def test_with_a_direct_url_keys_are_cached_and_a_suspended_one_is_refused(
    direct_url: None, pooler: dict[str, Any], stranger: User
) -> None:
    key, secret = revealed_key(stranger)
    ends = time.monotonic() + 20
    while CACHE.get(key.key_hash) is None:
        assert bearer(secret).get("/api/api-keys/verify").status_code == 204
        assert time.monotonic() < ends, "the key is never cached"
        time.sleep(0.01)
    ApiKey.objects.filter(pk=key.pk).update(suspended_at=timezone.now())  # as psql would
    while CACHE.get(key.key_hash) is not None:
        assert time.monotonic() < ends, "the suspended key stays cached"
        time.sleep(0.01)
    assert bearer(secret).get("/api/api-keys/verify").status_code == 401


def test_without_prepared_statements_no_event_fails_behind_an_old_pooler(
    pooler: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_sql._Preparing, "enabled", False)
    for each in ConversationFactory.create_batch(2 * SERVERS):
        assert stripe.deliver(stripe.completed(each)).status_code == 200
        _use_every_server(pooler)  # the next transaction gets another server
