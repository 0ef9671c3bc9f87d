"""The servers that the storm goes over, and what is done to them meanwhile."""

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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from billing.tests import stripe_events as stripe
from devtools.management import manage
from devtools.ports import LOOPBACK, free_port
from devtools.postgres import Cluster
from devtools.service import Service

CLIENTS = 16
PATIENCE = 240.0  # seconds for one delivery to be accepted, whatever happens
PAUSE = 0.1

ANSWER_TIMEOUT = 30.0


class RestartingCluster(Cluster):
    """A durable PostgreSQL that is started again whenever it ends."""

    def __init__(self) -> None:
        super().__init__(durable=True)

    def _postgres(self) -> list[str]:
        again_and_again = 'while :; do "$0" "$@"; sleep 0.2; done'
        return ["/bin/sh", "-c", again_and_again, *super()._postgres()]

    def crash(self) -> None:
        """What `pg_ctl stop -m immediate` does: no checkpoint, no goodbye, recovery at start."""
        # While it is down there is no such file.
        with suppress(FileNotFoundError, ProcessLookupError, IndexError):
            pid = (self._data / "postmaster.pid").read_text().splitlines()[0]
            os.kill(int(pid), signal.SIGQUIT)

    @property
    def deadlocks(self) -> int:
        return self.log.read_text(errors="replace").count("deadlock detected")


@dataclass
class App:
    """payflow under gunicorn, 2 workers of 4 threads."""

    port: int
    pid_file: Path
    kills: int = 0

    def kill_a_worker(self) -> None:
        """SIGKILL a worker, the young and the old in turn; gunicorn starts another."""
        with suppress(FileNotFoundError, ProcessLookupError, IndexError):
            master = self.pid_file.read_text().strip()
            children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
            os.kill(int(children[-(self.kills % 2)]), signal.SIGKILL)
            self.kills += 1


@contextmanager
def running_app(cluster: Cluster, directory: Path) -> Iterator[App]:
    """The app on a database with all migrations."""
    environment = {
        **os.environ,
        "DATABASE_URL": cluster.url(),
        "WEB_CONCURRENCY": "2",
        "WEB_THREADS": "4",
        "LOG_LEVEL": "ERROR",
    }
    manage(environment, "migrate", "--verbosity=0")
    app = App(free_port(), directory / "gunicorn.pid")
    command = ["-m", "gunicorn", "payflow.wsgi", f"--bind={LOOPBACK}:{app.port}"]
    command += [f"--pid={app.pid_file}", "--access-logfile=/dev/null"]
    with Service("app", [sys.executable, *command], environment) as service:
        service.wait_for(f"http://{LOOPBACK}:{app.port}/healthz")
        yield app


@contextmanager
def every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Do it again and again, for as long as the block lasts."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass
class Answers:
    """How the deliveries of one storm were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    """Requests that ended without an answer."""
    acknowledged: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


def send_all(port: int, deliveries: list[stripe.Json]) -> Answers:
    """Deliver by 16 clients, each of which repeats a delivery until it is answered with 2xx."""
    answers = Answers()
    queue = iter(deliveries)
    lock = threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_TIMEOUT)
        while True:
            with lock:
                event = next(queue, None)
            if event is None:
                break
            _deliver(connection, event, answers, lock)
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client) for _ in range(CLIENTS)]:
            done.result()
    return answers


def _deliver(
    connection: http.client.HTTPConnection,
    event: stripe.Json,
    answers: Answers,
    lock: threading.Lock,
) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status, answer = _post(connection, json.dumps(event))
        with lock:
            if status is None:
                answers.broken += 1
            else:
                answers.statuses[status] += 1
            if status == 200:
                answers.acknowledged.add(event["id"])
                return
            answers.errors.append(f"{event['id']} {event['type']}: {status} {answer}")
        time.sleep(PAUSE)
    raise TimeoutError(f"{event['id']} was not accepted within {PATIENCE} s")


def _post(connection: http.client.HTTPConnection, body: str) -> tuple[int | None, str]:
    """The answer's status and text; None when there was no answer."""
    headers = {"Content-Type": "application/json", "Stripe-Signature": stripe.signature(body)}
    try:
        connection.request("POST", stripe.URL, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (http.client.HTTPException, OSError) as error:
        connection.close()  # the next request opens it again
        return None, repr(error)
