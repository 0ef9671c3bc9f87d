"""A database that accepts connections and statements and never answers: nobody waits for long."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from apikeys.cache import invalidation
from apikeys.cache.invalidation import LISTENER
from apikeys.cache.store import CACHE
from devtools.fleet import Server, fleet
from devtools.ports import LOOPBACK
from devtools.pytest_postgres import database_url
from devtools.settings_for_tests import SETTINGS
from payflow import worker
from payflow.postgresql import base, waiting
from testing.keys import revealed_key

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.http,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120),
]


class Relay:
    """Passes bytes between clients and the tests' database, until it is frozen.

    Then its kernel accepts connections and acknowledges bytes, as that of a frozen server does.
    """

    def __init__(self) -> None:
        self._frozen = False
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def freeze(self) -> None:
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        for each in [*self._peers, self._listener]:
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.02):
                if self._frozen:
                    time.sleep(0.02)
                    break
                self._pass_on(key.fileobj)

    def _pass_on(self, source: Any) -> None:
        if source is self._listener:
            client, _ = self._listener.accept()
            server = _connected_to_database()
            for one, other in ((client, server), (server, client)):
                self._peers[one] = other
                self._selector.register(one, selectors.EVENT_READ)
            return
        if source not in self._peers:  # its other end was closed in this round
            return
        try:
            data = source.recv(65_536)
            self._peers[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (source, self._peers[source]):
                self._selector.unregister(each)
                del self._peers[each]
                each.close()


def _connected_to_database() -> socket.socket:
    direct = psycopg.conninfo.conninfo_to_dict(database_url())
    host, port = str(direct["host"]), int(direct["port"] or 5432)
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


@pytest.fixture
def relay(django_db_setup: None) -> Iterator[Relay]:
    relay = Relay()
    yield relay
    relay.close()


@pytest.fixture
def behind_relay(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """Django's connection goes through the relay; a silent server is suspected early."""
    monkeypatch.setattr(waiting, "SUSPICIOUS", 0.1)
    monkeypatch.setattr(base.DatabaseWrapper, "unreachable_until", 0.0)
    with pytest.MonkeyPatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "HOST", LOOPBACK)
        patch.setitem(connection.settings_dict, "PORT", relay.port)
        patch.setitem(connection.settings_dict["OPTIONS"], "connect_timeout", 30)
        yield relay
        relay.thaw()
        LISTENER.stop()
        connection.close()


def is_running(pid: int) -> bool:
    with psycopg.connect(database_url()) as other:
        active = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        row = other.execute(active, [pid]).fetchone()
    return bool(row and row[0])


def sleep_for_ever() -> int:
    """Run a statement that does not end. Returns the server process that ran it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
        with pytest.raises(OperationalError, match="has not answered"):
            cursor.execute("SELECT pg_sleep(600)")
    return pid


@pytest.mark.parametrize("of_request", [True, False], ids=["a request", "a command"])
def test_a_long_statement_outside_of_a_transaction_is_cancelled(
    of_request: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "COMMAND_LIMIT", 2.0)
    monkeypatch.setattr(base, "GRACE", 0.0)
    monkeypatch.setattr(waiting, "ALIVE_WITHIN", 30)
    connection.close()
    if of_request:
        settings.DATABASE_STATEMENT_TIMEOUT = 2_000
        Client().get("/healthz")
    else:
        monkeypatch.setattr(connection, "serves_requests", False)
    pid = sleep_for_ever()
    ends = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert Client().get("/readyz").status_code == 200


def test_a_migration_may_take_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "COMMAND_LIMIT", 0.01)
    monkeypatch.setattr(connection, "serves_requests", False)
    monkeypatch.setattr(connection, "has_time_limit", False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")


def test_a_slow_statement_of_a_database_that_lives_is_not_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "SUSPICIOUS", 0.1)
    monkeypatch.setattr(waiting, "ALIVE_WITHIN", 30)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")


def test_a_round_of_the_worker_ends_when_the_database_freezes(
    behind_relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    def freeze_in_a_transaction() -> Iterator[str]:
        with transaction.atomic(), connection.cursor() as cursor:
            behind_relay.freeze()
            cursor.execute("SELECT 1")
        yield "nothing"

    with caplog.at_level(logging.ERROR):
        worker.run(worker.Job("freezing", timedelta(seconds=1), freeze_in_a_transaction))
    assert "The job freezing failed" in caplog.text
    behind_relay.thaw()
    base.DatabaseWrapper.unreachable_until = 0.0

    def select() -> Iterator[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        yield "selected"

    with caplog.at_level(logging.INFO):
        worker.run(worker.Job("asking", timedelta(seconds=1), select))
    assert "asking: 1 selected" in caplog.text


def test_the_check_of_a_key_ends_when_the_connection_for_keys_freezes(
    behind_relay: Relay, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = revealed_key(stranger)
    LISTENER.ensure_running()
    ends = time.monotonic() + 20
    while CACHE.generation() is None:
        assert time.monotonic() < ends
        time.sleep(0.01)
    behind_relay.freeze()
    with pytest.raises(invalidation.Unavailable):
        LISTENER.query("SELECT 1", ())
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    assert client.get("/api/api-keys/verify").status_code == 503


def test_a_server_refuses_while_the_database_is_frozen_and_recovers(
    relay: Relay, stranger: User
) -> None:
    _, secret = revealed_key(stranger)
    direct = psycopg.conninfo.conninfo_to_dict(database_url())
    through_relay = f"postgres://{direct['user']}@{LOOPBACK}:{relay.port}/{direct['dbname']}"
    with ExitStack() as stack:
        (server,) = stack.enter_context(fleet({**SETTINGS, "DATABASE_URL": through_relay}, 1))
        stack.callback(relay.thaw)
        until(server, secret, 204)
        relay.freeze()
        with ThreadPoolExecutor(8) as pool:  # more than the server has slots
            asked = [pool.submit(ask, server, "/readyz") for _ in range(8)]
            assert ask(server, "/healthz") == 200
            assert {each.result() for each in asked} == {503}
        until(server, secret, 503)
        relay.thaw()
        until(server, secret, 204)


def ask(server: Server, path: str, **headers: str) -> int:
    http = HTTPConnection(LOOPBACK, server.port, timeout=60)
    try:
        http.request("GET", path, headers=headers)
        return http.getresponse().status
    finally:
        http.close()


def until(server: Server, secret: str, status: int) -> None:
    """Wait until the check of this key has this status."""
    ends = time.monotonic() + 60
    while ask(server, "/api/api-keys/verify", Authorization=f"Bearer {secret}") != status:
        assert time.monotonic() < ends
        time.sleep(0.1)
