"""The listeners of the stress test: receivers of webhooks and mail, and a reader of the list.

The process that sends is killed again and again, and the receiver of webhooks fails.
"""

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

from billing.tests.stress_servers import App, every, wait_until
from devtools.management import manage
from devtools.ports import LOOPBACK
from devtools.postgres import Cluster
from devtools.service import ROOT
from testing import mail_server, webhook_receiver
from testing.mail_server import MailServer
from testing.webhook_receiver import Receiver

# Seconds until the process that sends is killed; it takes about one to begin.
SENDER_LIVES = 5.0
# `run_worker`'s jobs without their pauses; with an argument, until nothing waits.
SEND = """
import sys
import django; django.setup()
from django.db import DatabaseError, connection
from django.utils import timezone
from notifications import deliveries, events, mail
from notifications.models import Delivery, Notification
deliveries.MAX_FAILURES = 10**9
until_done = len(sys.argv) > 1
def waits():
    return Delivery.objects.waiting().exists() or Notification.objects.waiting().exists()
while not until_done or events.number() or waits():
    try:
        Delivery.objects.waiting().filter(status=500).update(due_at=timezone.now())
        for outcome in deliveries.send_due(): pass
        for outcome in mail.send_due(): pass
    except DatabaseError:
        connection.close()
"""
# What was leased by a process that was killed, or is told later, is due at once.
END = """
    UPDATE webhook_deliveries SET due_at = now() WHERE due_at IS NOT NULL;
    UPDATE outbox SET mail_due_at = now() WHERE mail_status = 'waiting'
"""
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


class Sender:
    """The process that sends."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def restart(self) -> None:
        self.kill()
        command = [sys.executable, "-c", SEND]
        self._process = subprocess.Popen(command, env=self._environment, cwd=ROOT)  # noqa: S603

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.kills += 1

    def send_to_the_end(self) -> None:
        command = [sys.executable, "-c", SEND, "to the end"]
        subprocess.run(command, env=self._environment, cwd=ROOT, check=True)  # noqa: S603


@dataclass
class Listeners:
    receiver: Receiver
    reader: Reader
    mails: MailServer


@contextmanager
def listening(cluster: Cluster, app: App) -> Iterator[Listeners]:
    """Listen to what happens in the block, and then to what is left."""
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
    with webhook_receiver.running() as receiver, mail_server.serving() as mails:
        receiver.answer = lambda number: 500 if number % 3 == 0 else 204
        manage(environment, "webhook_endpoint", receiver.url)
        sender = Sender({**environment, "EMAIL_URL": f"smtp://{LOOPBACK}:{mails.port}"})
        try:
            with every(0.2, reader.try_to_read), every(SENDER_LIVES, sender.restart):
                yield Listeners(receiver, reader, mails)
                wait_until(lambda: sender.kills > 0)
        finally:
            sender.kill()
        with psycopg.connect(cluster.url()) as database:
            database.execute(END)
        sender.send_to_the_end()
        reader.read_to_the_end()
        with psycopg.connect(cluster.url()) as database:
            database.execute(REMOVE)
