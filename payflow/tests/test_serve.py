"""`manage.py serve`: it drains, reloads, replaces workers, and stands slow connections."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from conversations.models import Conversation
from devtools.ports import LOOPBACK, is_free
from devtools.pytest_postgres import database_url
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS
from payflow import drain
from testing import stripe_events as stripe
from testing.servers import App, is_serving, serving, until

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.http,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120),
]

SLOW_CONNECTIONS = 64
WORKERS = 2
TOKEN = "metrics-token-of-the-tests"


def metrics_of(app: App) -> str:
    connection = app.connect()
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def app(django_db_setup: None) -> Iterator[App]:
    with serving(f"--workers={WORKERS}", METRICS_TOKEN=TOKEN) as app:
        yield app


@contextmanager
def locked(conversation: Conversation) -> Iterator[None]:
    """A payment of the conversation waits until the block ends."""
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT FROM conversations WHERE id = %s FOR UPDATE", [conversation.pk])
        yield


def all_serve(app: App) -> bool:
    return [is_serving(worker) for worker in app.workers] == [True] * WORKERS


def locks_waited_for() -> int:
    with psycopg.connect(database_url()) as other:
        waiting = other.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        ).fetchone()
    return int(waiting[0]) if waiting else 0


def test_a_request_is_one_line_of_the_access_log_with_id_route_status_and_duration(
    app: App,
) -> None:
    secret = "sk_" + "a" * 64
    assert app.get(f"/api/orders/7?token={secret}", **{"X-Request-Id": "from-the-proxy"}) == 401
    assert app.get(f"/no/{secret}%0Aforged", **{"X-Request-Id": "second"}) == 404
    until(lambda: "[second]" in app.service.output)
    lines = app.service.output.splitlines()
    (first,) = [line for line in lines if "[from-the-proxy]" in line and "access_log" in line]
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO .*"
        r" 127\.0\.0\.1 GET /api/orders/7 401 \d+\.\d ms /api/orders/<",
        first,
    )
    (second,) = [line for line in lines if "[second]" in line and "access_log" in line]
    assert r"GET /no/sk_[redacted]\nforged 404" in second
    assert secret not in app.service.output


@pytest.mark.parametrize("name", ["Script_Name", "Script-Name", "Path_Info"])
def test_no_header_changes_the_path(app: App, name: str) -> None:
    connection = app.connect()
    connection.request("GET", "/keys", headers={name: "/x"})
    answer = connection.getresponse()
    assert answer.headers["Location"] == "/accounts/login/?next=/keys"
    connection.close()


def test_a_worker_that_was_killed_is_replaced(app: App) -> None:
    first, other = app.workers
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in app.workers and all_serve(app))
    assert other in app.workers
    assert app.get("/healthz") == 200


def test_slow_connections_do_not_stop_the_others(app: App) -> None:
    body = b"POST /api/webhooks/stripe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{"
    with ExitStack() as stack:
        for piece in (b"G", body):
            for _ in range(SLOW_CONNECTIONS):
                slow = stack.enter_context(socket.create_connection((LOOPBACK, app.port)))
                slow.sendall(piece)
        started = time.monotonic()
        assert [app.get("/healthz") for _ in range(24)] == [200] * 24
        assert time.monotonic() - started < 10


def test_a_probe_is_answered_while_every_slot_waits_for_the_database(
    app: App, conversation: Conversation
) -> None:
    slots = WORKERS * int(SETTINGS["WEB_THREADS"])
    answers: list[Future[int]] = []

    def every_slot_waits() -> bool:
        # One more, whichever worker takes it.
        answers.append(pool.submit(app.deliver, stripe.completed(conversation)))
        return locks_waited_for() == slots

    with ThreadPoolExecutor(256) as pool:
        with locked(conversation):
            until(every_slot_waits)
            assert app.get("/healthz") == 200
            assert not any(answer.done() for answer in answers)
        assert {answer.result() for answer in answers} == {200}


def test_a_process_opens_as_many_connections_as_it_has_slots_and_keeps_them(
    app: App, conversation: Conversation
) -> None:
    def server_processes() -> set[int]:
        with psycopg.connect(database_url()) as other:
            rows = other.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = ''"
                " AND backend_type = 'client backend'"
                " AND datname = current_database() AND pid <> ALL (%s)",
                [[other.info.backend_pid, connection.connection.info.backend_pid]],
            )
            return {int(row[0]) for row in rows}

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(app.get, ["/readyz"] * 200)) == {200}
    before = server_processes()
    assert 0 < len(before) <= WORKERS * int(SETTINGS["WEB_THREADS"])
    for _ in range(20):
        assert app.deliver(stripe.completed(conversation)) == 200
    assert len(server_processes() | before) <= WORKERS * int(SETTINGS["WEB_THREADS"])


def test_the_workers_count_together_and_keep_the_count_of_one_that_died(app: App) -> None:
    counted = re.compile(
        r'^payflow_http_requests_total{.*route="/api/schema".*} (\S+)$', re.MULTILINE
    )
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(app.get, ["/api/schema"] * 16)) == {200}
    for _ in range(8):  # whichever worker is asked
        assert [float(value) for value in counted.findall(metrics_of(app))] == [16]
    victim = app.workers[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in app.workers and all_serve(app))
    assert [float(value) for value in counted.findall(metrics_of(app))] == [16]


def sigterm(app: App) -> None:
    """What systemd sends."""
    app.signal(signal.SIGTERM)


def ctrl_c_three_times(app: App) -> None:
    """A terminal sends it to the workers too."""
    for _ in range(3):
        os.killpg(app.service.server_pid, signal.SIGINT)
        time.sleep(0.1)


@pytest.mark.parametrize("end", [sigterm, ctrl_c_three_times])
def test_a_running_request_ends_before_the_server(
    django_db_setup: None, conversation: Conversation, end: Callable[[App], None]
) -> None:
    with serving("--workers=1") as app, ThreadPoolExecutor() as pool:
        with locked(conversation):
            answer: Future[int] = pool.submit(app.deliver, stripe.completed(conversation))
            until(lambda: locks_waited_for() > 0)
            end(app)
            until(lambda: "Stopping worker-1" in app.service.output)
        assert answer.result() == 200
        until(lambda: is_free(app.port))
    conversation.refresh_from_db()
    assert conversation.payment_status == "paid"


def answers_while_it_ends() -> list[tuple[int, str | None]]:
    """The answers to a first and to a next request, both sent after SIGTERM.

    Empty if they were sent too late: the machine is busy.
    """
    with ExitStack() as stack:
        app = stack.enter_context(serving("--workers=1"))
        new, kept = (stack.enter_context(closing(app.connect())) for _ in range(2))
        new.connect()
        kept.request("GET", "/healthz")  # connections are accepted in turn
        assert kept.getresponse().read()
        app.signal(signal.SIGTERM)
        began = time.monotonic()
        while not is_free(app.port):
            began = time.monotonic()
        for client in (new, kept):
            client.request("GET", "/healthz")
        if time.monotonic() - began > drain.SECONDS / 2:
            return []
        answers = [client.getresponse() for client in (new, kept)]
        return [(answer.status, answer.headers["Connection"]) for answer in answers]


def test_sigterm_serves_connections_that_were_accepted(django_db_setup: None) -> None:
    answers = next(filter(None, (answers_while_it_ends() for _ in range(5))), None)
    assert answers == [(200, "close")] * 2


def test_workers_end_when_the_server_itself_was_killed(django_db_setup: None) -> None:
    with serving("--workers=1") as app:
        (worker,) = app.workers
        supervisor = app.service._process
        supervisor.send_signal(signal.SIGSTOP)  # the supervisor would end the workers
        try:
            app.signal(signal.SIGKILL)
            until(lambda: not Path(f"/proc/{worker}").exists())
            assert is_free(app.port)
        finally:
            supervisor.send_signal(signal.SIGCONT)


def test_sighup_reads_the_environment_anew_without_a_failed_request(
    django_db_setup: None, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text("ALLOWED_HOSTS=localhost,127.0.0.1\n")
    with serving("--workers=1", ENV_FILE=str(file), ALLOWED_HOSTS=None, PORT=None) as app:
        assert app.get("/api/orders", Host="new.example.com") == 400
        statuses: list[int] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                statuses.append(app.get("/healthz"))

        asking = threading.Thread(target=ask)
        asking.start()
        file.write_text("ALLOWED_HOSTS=localhost,127.0.0.1,new.example.com\n")
        (old,) = app.workers
        app.signal(signal.SIGHUP)
        until(lambda: old not in app.workers)
        done.set()
        asking.join()
        assert set(statuses) == {200}
        assert app.get("/api/orders", Host="new.example.com") == 401

        file.write_text("ALLOWED_HOSTS=localhost\nPORT=none\n")
        workers = app.workers
        app.signal(signal.SIGHUP)
        until(lambda: "Not reloaded" in app.service.output)
        assert "PORT must be a whole number" in app.service.output
        assert app.workers == workers
        assert app.get("/api/orders", Host="new.example.com") == 401


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--bind=127.0.0.1", "--bind takes ADDRESS:PORT"),
        ("--bind=127.0.0.1:99999", "--bind takes ADDRESS:PORT"),
        ("--workers=0", "at least 1"),
        ("--threads=0", "at least 1"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(option: str, message: str) -> None:
    refused = start(option)
    assert message in refused
    assert refused.count("\n") == 1


def test_a_port_in_use_is_refused_in_one_line(app: App) -> None:
    refused = start(f"--bind={LOOPBACK}:{app.port}")
    assert refused == (
        f"CommandError: can't listen on {LOOPBACK}:{app.port}: Address already in use\n"
    )


def start(option: str) -> str:
    """What a server prints that does not start."""
    environment = {**SETTINGS, "PATH": os.environ["PATH"], "DATABASE_URL": database_url()}
    done = subprocess.run(  # noqa: S603 - our own code, in our own Python
        [sys.executable, "manage.py", "serve", option],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 1
    return done.stderr
