"""The servers of the stress test, the crashes of them, and the clients that deliver to them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from devtools.management import manage
from devtools.ports import LOOPBACK, free_port
from devtools.postgres import Cluster
from devtools.service import Service
from payflow.postgresql.base import RETRY_AFTER
from testing import stripe_events as stripe
from testing.servers import children_of, is_serving

CLIENTS = 16
WORKERS = 2
DELIVERY_TIMEOUT = 240.0  # seconds for one delivery to be accepted
PAUSE = 0.1
FIRST_PAUSE = 0.3  # seconds: a short run takes two
RECOVERY_TIMEOUT = 30.0  # seconds for a killed process to be replaced

ANSWER_TIMEOUT = 30.0


@dataclass(frozen=True)
class Span:
    """A period of the monotonic clock."""

    started: float
    ended: float

    def overlaps(self, other: Span) -> bool:
        return self.started <= other.ended and other.started <= self.ended


class RestartingCluster(Cluster):
    """A durable PostgreSQL that is restarted whenever it ends."""

    def __init__(self) -> None:
        super().__init__(durable=True)
        self.outages: list[Span] = []

    def _postgres(self) -> list[str]:
        restart_loop = 'while :; do "$0" "$@"; sleep 0.2; done'
        return ["/bin/sh", "-c", restart_loop, *super()._postgres()]

    def crash(self) -> None:
        """Stop as `pg_ctl stop -m immediate` does: no checkpoint, recovery at the next start."""
        started = time.monotonic()
        pid = (self._data / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(pid), signal.SIGQUIT)
        wait_until(lambda: not Path(f"/proc/{pid}").exists() and self._is_up())
        # A server that met the silence fails at once for a moment longer.
        self.outages.append(Span(started, time.monotonic() + RETRY_AFTER))

    def _is_up(self) -> bool:
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def deadlocks(self) -> int:
        return self.log.read_text(errors="replace").count("deadlock detected")


@dataclass
class App:
    """`manage.py serve`, 2 workers of 4 threads."""

    port: int
    pid: int
    kills: list[Span] = field(default_factory=list)

    def kill_a_worker(self) -> None:
        """SIGKILL the oldest worker if both serve; the server starts another.

        The same worker is not killed twice in a row: the server would stop.
        """
        serving = [pid for pid in children_of(self.pid) if is_serving(pid)]
        if len(serving) == WORKERS:
            started = time.monotonic()
            os.kill(serving[0], signal.SIGKILL)
            wait_until(lambda: not is_serving(serving[0]))
            self.kills.append(Span(started, time.monotonic()))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RECOVERY_TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def running_app(cluster: Cluster) -> Iterator[App]:
    """The app on a migrated database."""
    environment = {
        **os.environ,
        "DATABASE_URL": cluster.url(),
        "WEB_CONCURRENCY": str(WORKERS),
        "LOG_LEVEL": "ERROR",
    }
    manage(environment, "migrate", "--verbosity=0")
    port = free_port()
    command = [sys.executable, "manage.py", "serve", f"--bind={LOOPBACK}:{port}"]
    with Service("app", command, environment) as service:
        service.wait_for(f"http://{LOOPBACK}:{port}/healthz")
        yield App(port, service.server_pid)


@contextmanager
def every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` after FIRST_PAUSE and then every `seconds` until the block ends."""
    stop = threading.Event()

    def run() -> None:
        pause = FIRST_PAUSE
        while not stop.wait(pause):
            act()
            pause = seconds

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class Failure:
    """A delivery that was not accepted; its span starts at the connection's previous answer."""

    event: str
    during: Span
    status: int | None
    """None without an answer."""
    text: str


@dataclass
class Answers:
    """The answers to the deliveries of one run."""

    statuses: Counter[int | None] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def send_all(port: int, deliveries: list[stripe.Json], answers: Answers) -> None:
    """Deliver with 16 clients, each of which repeats a delivery until the answer is 200."""
    queue = iter(deliveries)

    def client() -> None:
        with closing(Sender(port, answers)) as sender:
            while True:
                with answers.lock:
                    event = next(queue, None)
                if event is None:
                    break
                sender.deliver(event)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client) for _ in range(CLIENTS)]:
            done.result()


class Sender:
    """One client and its connection."""

    def __init__(self, port: int, answers: Answers) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_TIMEOUT)
        self._answers = answers
        self._sent_at = time.monotonic()

    def close(self) -> None:
        self._connection.close()

    def deliver(self, event: stripe.Json) -> None:
        deadline = time.monotonic() + DELIVERY_TIMEOUT
        while time.monotonic() < deadline:
            # The worker of the previous request may have died before its answer was read.
            since, self._sent_at = self._sent_at, time.monotonic()
            status, text = self._post(json.dumps(event))
            with self._answers.lock:
                self._answers.statuses[status] += 1
                if status == 200:
                    self._answers.acknowledged.add(event["id"])
                    return
                during = Span(since, time.monotonic())
                self._answers.failures.append(Failure(event["id"], during, status, text))
            time.sleep(PAUSE)
        failures = [each for each in self._answers.failures if each.event == event["id"]]
        raise TimeoutError(
            f"{event['id']} was not accepted within {DELIVERY_TIMEOUT} s: {failures}"
        )

    def _post(self, body: str) -> tuple[int | None, str]:
        """The answer's status and text; None and the error without an answer."""
        headers = {"Content-Type": "application/json", "Stripe-Signature": stripe.signature(body)}
        try:
            self._connection.request("POST", stripe.URL, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read().decode()
        except (http.client.HTTPException, OSError) as error:
            self.close()  # the next request opens a new one
            return None, repr(error)
