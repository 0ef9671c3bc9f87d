"""A running `manage.py serve` on the tests' database."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from devtools.ports import LOOPBACK, free_port
from devtools.pytest_postgres import database_url
from devtools.service import Service
from devtools.settings_for_tests import SETTINGS
from testing import stripe_events as stripe

WITHIN = 60.0


class App:
    """A running `manage.py serve`."""

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self.port = port

    def connect(self) -> HTTPConnection:
        return HTTPConnection(LOOPBACK, self.port, timeout=WITHIN)

    def get(self, path: str, **headers: str) -> int:
        return self.request("GET", path, headers=headers)

    def request(self, method: str, path: str, body: str = "", *, headers: Mapping[str, str]) -> int:
        """The status of a request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body or None, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()

    def deliver(self, event: stripe.Json, *, secret: str | None = None) -> int:
        """Post an event, signed as Stripe signs it."""
        body = json.dumps(event)
        signature = stripe.signature(body, secret=secret)
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
        return self.request("POST", stripe.URL, body, headers=headers)

    def signal(self, number: int) -> None:
        os.kill(self.service.server_pid, number)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers, the oldest first."""
        return [child for child in children_of(self.service.server_pid) if _is_worker(child)]


def children_of(pid: int) -> list[int]:
    """The process's children, the oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_worker(pid: int) -> bool:
    """Multiprocessing has another child, its resource tracker."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    return False


def is_serving(pid: int) -> bool:
    """Whether this is a worker that has loaded the application.

    It polls for connections then, beside the poll of an event loop that it does not use.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        open_files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
        return open_files.count("anon_inode:[eventpoll]") > 1
    return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def serving(*options: str, **changes: str | None) -> Iterator[App]:
    """A server with the variables of the tests; `changes` replace some, or remove them by None."""
    port = free_port()
    variables = {**SETTINGS, "PATH": os.environ["PATH"], "DATABASE_URL": database_url(), **changes}
    environment = {name: value for name, value in variables.items() if value is not None}
    command = [sys.executable, "manage.py", "serve", f"--bind={LOOPBACK}:{port}", *options]
    with Service("app", command, environment) as service:
        service.wait_for(f"http://{LOOPBACK}:{port}/healthz")
        yield App(service, port)
