"""The listeners of the stress test: a receiver of webhooks that fails, and a reader of the list."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import requests

from billing.tests.stress_servers import App, every
from devtools.management import manage
from devtools.ports import LOOPBACK
from devtools.postgres import Cluster
from devtools.service import ROOT
from testing import webhook_receiver
from testing.webhook_receiver import Receiver

# `run_worker`'s job without its pauses; with an argument, until nothing waits.
SEND = """
import sys
import django; django.setup()
from django.db import DatabaseError, connection
from django.utils import timezone
from notifications import deliveries, events
from notifications.models import Delivery
deliveries.MAX_FAILURES = 10**9
until_done = len(sys.argv) > 1
while not until_done or events.number() or Delivery.objects.waiting().exists():
    try:
        Delivery.objects.waiting().filter(status=500).update(due_at=timezone.now())
        for outcome in deliveries.send_due(): pass
    except DatabaseError:
        connection.close()
"""
# What was leased by the process that was killed is due at once.
END = "UPDATE webhook_deliveries SET due_at = now() WHERE due_at IS NOT NULL"
REMOVE = "DELETE FROM webhook_deliveries; DELETE FROM webhook_endpoints"


@dataclass
class Reader:
    """Reads the list on from its last position, as another backend does."""

    url: str
    token: str
    start: int
    events: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> int:
        after = self.events[-1]["position"] if self.events else self.start
        answer = requests.get(
            self.url,
            {"after": after, "limit": 100},
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        if answer.status_code != 200:  # a worker was killed, or the database is down
            return 0
        page: list[dict[str, Any]] = answer.json()["events"]
        self.events += page
        return len(page)

    def try_to_read(self) -> None:
        with suppress(requests.RequestException):  # its worker was killed
            self.read()

    def read_to_the_end(self) -> None:
        while self.read():
            continue


@contextmanager
def listening(cluster: Cluster, app: App) -> Iterator[tuple[Receiver, Reader]]:
    """Listen to what happens in the block, and then to what is left.

    The process that sends is killed at the end of the block.
    """
    environment = {
        **os.environ,
        "DATABASE_URL": cluster.url(),
        "EVENTS_TO_PRIVATE_NETWORKS": "on",
        "DJANGO_SETTINGS_MODULE": "payflow.settings",
        "LOG_LEVEL": "CRITICAL",
    }
    token = manage(environment, "issue_service_token", f"reader-{uuid.uuid4()}").strip()
    with psycopg.connect(cluster.url()) as database:
        found = database.execute("SELECT coalesce(max(position), 0) FROM outbox").fetchone()
    reader = Reader(f"http://{LOOPBACK}:{app.port}/api/service/events", token, (found or (0,))[0])
    send = [sys.executable, "-c", SEND]
    with webhook_receiver.running() as receiver:
        receiver.answer = lambda number: 500 if number % 3 == 0 else 204
        manage(environment, "webhook_endpoint", receiver.url)
        sender = subprocess.Popen(send, env=environment, cwd=ROOT)  # noqa: S603
        try:
            with every(0.2, reader.try_to_read):
                yield receiver, reader
        finally:
            sender.kill()
            sender.wait()
        with psycopg.connect(cluster.url()) as database:
            database.execute(END)
        subprocess.run([*send, "to the end"], env=environment, cwd=ROOT, check=True)  # noqa: S603
        reader.read_to_the_end()
        with psycopg.connect(cluster.url()) as database:
            database.execute(REMOVE)
