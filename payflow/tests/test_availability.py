"""It keeps answering while Stripe hangs, a row is locked, or the database is gone or read-only."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.cache import invalidation
from billing.models import EventStatus, Order, StripeEvent
from billing.stripe import client as stripe_client
from conversations.models import Conversation
from devtools.fleet import Server, fleet
from devtools.ports import LOOPBACK
from devtools.pytest_postgres import database_url
from devtools.settings_for_tests import SETTINGS
from payflow import db
from payflow.postgresql import base
from payflow.postgresql.base import DatabaseWrapper
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import PASSWORD, ConversationFactory, UserFactory
from testing.keys import revealed_key
from testing.servers import until

LINK = "/api/payments/link"
WITHIN = 2.0
ApiOf = Callable[[User], APIClient]

http = pytest.mark.http
postgres = pytest.mark.postgres
committed = pytest.mark.django_db(transaction=True)


class SilentServer:
    """Accepts connections and never answers, or sends a byte now and then."""

    def __init__(self, drip: bytes = b"") -> None:
        self._drip = drip
        self._listener = socket.create_server((LOOPBACK, 0))
        self._accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    @property
    def accepted(self) -> int:
        return len(self._accepted)

    def wait_for(self, connections: int) -> None:
        ends = time.monotonic() + 20
        while self.accepted < connections:
            assert time.monotonic() < ends, "nobody has connected"
            time.sleep(0.01)

    def close(self) -> None:
        """End every connection: whoever waits gets an error. Can be repeated."""
        if self._listener.fileno() == -1:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for each in self._accepted:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._accepted.append(accepted)
            if self._drip:
                threading.Thread(target=self._send, args=[accepted], daemon=True).start()

    def _send(self, accepted: socket.socket) -> None:
        try:
            accepted.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                accepted.sendall(self._drip)
                time.sleep(0.05)
        except OSError:
            return


@contextmanager
def silent_stripe(drip: bytes = b"") -> Iterator[SilentServer]:
    server = SilentServer(drip)
    try:
        yield server
    finally:
        server.close()


def ask_for_link(api: APIClient, conversation: Conversation) -> Any:
    return api.post(LINK, {"conversationId": conversation.pk}, format="json")


def wait_until_nobody_waits_for_stripe() -> None:
    ends = time.monotonic() + 20
    while stripe_client._slots._taken:
        assert time.monotonic() < ends
        time.sleep(0.01)


# --- Stripe hangs ------------------------------------------------------------------------------


@http
@pytest.mark.django_db
@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "a byte now and then"])
def test_all_that_asks_stripe_ends_at_one_deadline(
    drip: bytes,
    conversation: Conversation,
    api_of: ApiOf,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stripe_client, "DEADLINE", 0.5)
    owner = Client()
    owner.force_login(conversation.user, "django.contrib.auth.backends.ModelBackend")
    with silent_stripe(drip) as silent:
        settings.STRIPE_API_BASE = silent.url
        began = time.monotonic()
        assert ask_for_link(api_of(conversation.user), conversation).status_code == 500
        assert owner.post(reverse("pay", args=[conversation.pk])).status_code == 502
        page = owner.get("/payments/success", {"session_id": "cs_test_x"})
        assert "Confirming" in page.content.decode()
        took = time.monotonic() - began
    assert took < 3 * 0.5 + 3
    wait_until_nobody_waits_for_stripe()


def test_the_deadline_is_below_twenty_seconds() -> None:
    assert stripe_client.DEADLINE < 20


def test_several_calls_of_one_request_share_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_client, "DEADLINE", 3)
    done: list[float] = []

    @stripe_client.within_deadline
    def ask_three_times() -> None:
        for _ in range(3):
            stripe_client._ask(lambda: time.sleep(2))
            done.append(time.monotonic())

    with pytest.raises(TimeoutError):
        ask_three_times()
    assert len(done) == 1
    wait_until_nobody_waits_for_stripe()


@http
@committed
def test_no_more_threads_than_allowed_wait_for_stripe(settings: Settings, api_of: ApiOf) -> None:
    settings.STRIPE_CONCURRENCY = 1
    first, second = ConversationFactory.create(), ConversationFactory.create()
    owner = Client()
    owner.force_login(second.user, "django.contrib.auth.backends.ModelBackend")
    with silent_stripe() as silent, ThreadPoolExecutor(1) as pool:
        settings.STRIPE_API_BASE = silent.url

        def ask() -> int:
            try:
                return int(ask_for_link(api_of(first.user), first).status_code)
            finally:
                connection.close()

        waiting = pool.submit(ask)
        silent.wait_for(1)
        began = time.monotonic()
        refused = ask_for_link(api_of(second.user), second)
        assert (refused.status_code, refused.json()["code"]) == (503, "stripe_busy")
        assert int(refused.headers["Retry-After"]) > 0
        page = owner.post(reverse("pay", args=[second.pk]))
        assert page.status_code == 503
        assert int(page.headers["Retry-After"]) > 0
        assert owner.get("/payments/success", {"session_id": "cs_x"}).status_code == 200
        assert time.monotonic() - began < WITHIN
        silent.close()
        assert waiting.result() == 500
    wait_until_nobody_waits_for_stripe()
    assert ask_for_link(api_of(second.user), second).status_code == 500  # its slot is free


# --- A real server, whose few threads are kept busy --------------------------------------------


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with silent_stripe() as server:
        yield server


@pytest.fixture
def server(django_db_setup: None, silent: SilentServer) -> Iterator[Server]:
    """One process with four threads, the limits of production, and a Stripe that hangs."""
    limits = ("STRIPE_CONCURRENCY", "DATABASE_LOCK_TIMEOUT", "DATABASE_STATEMENT_TIMEOUT")
    environment = {name: value for name, value in SETTINGS.items() if name not in limits}
    environment |= {"DATABASE_URL": database_url(), "STRIPE_API_BASE": silent.url}
    environment["WEB_THREADS"] = "16"  # `fleet` says --threads=4, which counts
    with fleet(environment, 1) as servers:
        yield servers[0]


def post(server: Server, path: str, body: str, headers: dict[str, str]) -> int:
    connection_ = HTTPConnection(LOOPBACK, server.port, timeout=30)
    try:
        headers = {"Content-Type": "application/json", **headers}
        connection_.request("POST", path, body, headers)
        return connection_.getresponse().status
    finally:
        connection_.close()


def deliver_to(server: Server, event: dict[str, Any]) -> int:
    body = json.dumps(event)
    return post(server, stripe.URL, body, {"Stripe-Signature": stripe.signature(body)})


def assert_it_answers(server: Server, secret: str) -> None:
    """A probe, the check of a key and another customer's payment, each within two seconds."""
    asked: dict[str, Callable[[], int]] = {
        "/healthz": lambda: server.request("GET", "/healthz"),
        "a key": lambda: server.verify(secret),
        "a payment": lambda: deliver_to(server, stripe.completed(ConversationFactory.create())),
    }
    for name, ask in asked.items():
        began = time.monotonic()
        assert ask() in (200, 204), name
        assert time.monotonic() - began < WITHIN, name


@http
@postgres
@committed
def test_the_server_answers_others_while_stripe_hangs_and_while_a_row_is_locked(
    server: Server, silent: SilentServer, stranger: User
) -> None:
    _, secret = revealed_key(stranger)
    assert server.verify(secret) == 204
    with ThreadPoolExecutor(16) as pool:
        # Stripe hangs: half of the threads wait for it, and the rest of the links fail at once.
        links: list[Future[int]] = []
        for each in ConversationFactory.create_batch(8):
            headers = {"Authorization": f"Bearer {issue_access(each.user)}"}
            body = json.dumps({"conversationId": each.pk})
            links.append(pool.submit(post, server, LINK, body, headers))
        silent.wait_for(2)
        assert_it_answers(server, secret)
        until(lambda: sum(each.done() for each in links) == 6)
        assert sorted(each.result() for each in links if each.done()) == [503] * 6
        silent.close()
        assert sorted(each.result() for each in links) == [500] * 2 + [503] * 6

        # Somebody holds a conversation's row: its deliveries fail within seconds.
        locked = ConversationFactory.create()
        with psql() as other:
            other.execute("UPDATE conversations SET title = 'n' WHERE id = %s", [locked.pk])
            events = [stripe.completed(locked) for _ in range(8)]
            began = time.monotonic()
            deliveries = [pool.submit(deliver_to, server, event) for event in events]
            time.sleep(0.1)
            while not all(each.done() for each in deliveries):
                asked_at = time.monotonic()
                assert server.request("GET", "/healthz") == 200
                assert time.monotonic() - asked_at < 2 * WITHIN
            assert {each.result() for each in deliveries} == {500}
            assert time.monotonic() - began < 20
            assert_it_answers(server, secret)
        assert {deliver_to(server, event) for event in events} == {200}
    assert Order.objects.filter(conversation=locked, is_duplicate=False).count() == 1


@contextmanager
def psql() -> Iterator[psycopg.Connection[Any]]:
    """A transaction of somebody else, which is rolled back at the end."""
    with psycopg.connect(**invalidation.connection_parameters()) as other:
        yield other
        other.rollback()


# --- A row or a table is locked ----------------------------------------------------------------


@postgres
@committed
def test_a_delivery_for_a_locked_conversation_is_a_500_that_stripe_repeats(
    conversation: Conversation, settings: Settings
) -> None:
    settings.DATABASE_LOCK_TIMEOUT = 100
    event = stripe.completed(conversation)
    with psql() as other:
        other.execute("UPDATE conversations SET title = 'n' WHERE id = %s", [conversation.pk])
        response = stripe.deliver(event)
        assert (response.status_code, response.json()["code"]) == (500, "event_not_processed")
    stored = StripeEvent.objects.get()
    assert (stored.status, stored.attempts) == (EventStatus.FAILED, 1)
    assert "lock timeout" in stored.last_error
    assert stripe.deliver(event).status_code == 200


@postgres
@committed
def test_a_statement_of_a_request_has_a_limit_and_one_of_a_command_has_none(
    client: Client, settings: Settings
) -> None:
    settings.DATABASE_STATEMENT_TIMEOUT = 1234
    client.get("/healthz")
    assert limits_in_a_transaction() == ("20s", "1234ms")
    connection.serves_requests = False  # type: ignore[attr-defined]  # as in a command
    assert limits_in_a_transaction() == ("20s", "0")


def limits_in_a_transaction() -> tuple[str, str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        lock = cursor.fetchone()[0]
        cursor.execute("SHOW statement_timeout")
        return lock, cursor.fetchone()[0]


@pytest.fixture
def role_limit(settings: Settings) -> Iterator[None]:
    """A short lock_timeout of the role in the tests' database, until the test ends."""
    usual = settings.DATABASE_LOCK_TIMEOUT
    settings.DATABASE_LOCK_TIMEOUT = 100
    db.limit_lock_waits()
    connection.close()
    yield
    settings.DATABASE_LOCK_TIMEOUT = usual
    db.limit_lock_waits()
    connection.close()


@postgres
@committed
@pytest.mark.parametrize("page", ["/", "/api/conversations", "/admin/"])
def test_a_locked_table_is_a_503_in_pages_and_the_api(role_limit: None, page: str) -> None:
    user = UserFactory.create(email="a@example.com", is_staff=True, is_superuser=True)
    client = Client(raise_request_exception=False)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    with psql() as other:
        other.execute("LOCK TABLE conversations, orders, users IN ACCESS EXCLUSIVE MODE")
        response = client.get(page)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert Client().get("/healthz").status_code == 200
    assert client.get(page).status_code == 200


@postgres
@committed
def test_signing_in_does_not_wait_for_a_locked_user(role_limit: None) -> None:
    user = UserFactory.create(password=PASSWORD)
    form = {"username": user.email, "password": PASSWORD}
    with psql() as other:
        other.execute("SELECT FROM users WHERE id = %s FOR UPDATE", [user.pk])
        client = Client(raise_request_exception=False)
        assert client.post("/accounts/login/", form).status_code == 503
    assert client.post("/accounts/login/", form).status_code == 302


# --- The database is gone or read-only ---------------------------------------------------------


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to stop the database, as far as this process can see."""

    def stop() -> None:
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", str(tmp_path))

    return stop


GONE_PAGES = ["/", "/keys", "/admin/", "/payments/success?session_id=cs_1", "/accounts/login/"]


@postgres
@committed
@pytest.mark.parametrize("path", [*GONE_PAGES, "/api/conversations", "/api/payments/link"])
def test_without_a_database_a_signed_in_user_gets_a_503_and_the_log_one_traceback(
    path: str, stranger: User, gone: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    gone()
    with caplog.at_level(logging.WARNING):
        response = client.get(path)
    expected = 405 if path == "/api/payments/link" else 503
    assert response.status_code in (503, expected)
    if response.status_code == 503:
        assert response.headers["Retry-After"] == "5"
        assert response.headers["X-Request-Id"] in response.content.decode()
        assert len([record for record in caplog.records if record.exc_info]) == 1
    assert len("\n".join(map(logging.Formatter().format, caplog.records)).splitlines()) < 250
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/readyz").status_code == 503


@postgres
@committed
@pytest.mark.parametrize(
    ("template", "status"), [("400", 400), ("403", 403), ("404", 404), ("500", 500), ("503", 503)]
)
def test_no_error_page_needs_a_database(
    template: str,
    status: int,
    stranger: User,
    gone: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    gone()
    ask = {
        400: lambda: client.get("/healthz", headers={"Host": "evil.example"}),
        403: lambda: client.post("/payments/cancel"),
        404: lambda: client.get("/nothing"),
        500: lambda: client.get("/payments/cancel"),
        503: lambda: client.get("/"),
    }
    if status == 500:
        monkeypatch.setattr("billing.views.render", lambda *_, **__: 1 / 0)
    response = ask[status]()
    assert response.status_code == status
    assert "payflow" in response.content.decode()


@postgres
@committed
def test_a_webhook_without_a_database_is_a_503_that_stripe_repeats(
    conversation: Conversation, gone: Callable[[], None]
) -> None:
    event = stripe.completed(conversation)
    gone()
    response = stripe.deliver(event)
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")


@postgres
@committed
def test_a_read_only_database_is_a_503_and_a_webhook_succeeds_afterwards(
    conversation: Conversation, stranger: User
) -> None:
    event = stripe.completed(conversation)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    api = bearer(issue_access(stranger))
    assert api.post("/api/conversations", {"title": "x"}, format="json").status_code == 503
    assert api.get("/api/conversations").status_code == 200
    assert stripe.deliver(event).status_code == 503
    assert Client().get("/readyz").status_code == 503
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
    assert stripe.deliver(event).status_code == 200


@postgres
@committed
@http
def test_after_a_silent_database_the_next_requests_fail_at_once(
    monkeypatch: pytest.MonkeyPatch, silent: SilentServer
) -> None:
    connection.close()
    port = int(silent.url.rpartition(":")[2])
    for name, value in (("HOST", LOOPBACK), ("PORT", port)):
        monkeypatch.setitem(connection.settings_dict, name, value)
    monkeypatch.setattr(DatabaseWrapper, "unreachable_until", 0.0)
    monkeypatch.setattr(base, "RETRY_AFTER", 60.0)
    with ExitStack() as stack:
        stack.callback(connection.close)
        began = time.monotonic()
        assert Client().get("/readyz").status_code == 503
        assert time.monotonic() - began < 2 * WITHIN + 1  # libpq's shortest limit is two seconds
        began = time.monotonic()
        assert Client().get("/readyz").status_code == 503
        assert time.monotonic() - began < 0.5
    assert silent.accepted == 1
