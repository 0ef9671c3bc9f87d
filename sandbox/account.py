"""One Stripe account: its objects, clock, job queue, outbox and switches.

Every change runs inside `Account.change`, which is one transaction. It includes the events and
jobs that the change creates, so nothing is sent for a change that was rolled back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.database import transaction
from sandbox.errors import CardError
from sandbox.faults import Faults
from sandbox.jobs import JobQueue
from sandbox.options import Options
from sandbox.request_log import RequestLog
from sandbox.store import Store
from sandbox.webhooks.outbox import Outbox
from sandbox.webhooks.switches import Switches

_TABLES = (
    "objects", "private_facts", "pending_deliveries", "deliveries", "jobs", "idempotency", "facts",
)  # fmt: skip
API_VERSION = "2026-10-28.endive"
ACCOUNT_ID = "acct_1PayflowSandbox"


@dataclass(frozen=True)
class Cause:
    """The API request behind a change, shown in `event.request`; empty for customer actions."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Account:
    """One Stripe account in test mode."""

    def __init__(self, connection: sqlite3.Connection, options: Options) -> None:
        self.connection = connection
        self.options = options
        self.clock = Clock(float(self.setting_value("clock_offset") or 0.0))
        self.store = Store(connection)
        self.jobs = JobQueue(connection, self.clock)
        self.outbox = Outbox(connection)
        self.switches = Switches.from_json(self.setting_value("switches"))
        self.faults = Faults()
        self.requests = RequestLog()
        self.base_url = options.public_url or f"http://127.0.0.1:{options.port}"
        self.is_muted = False
        """Whether events are stored without being delivered, as for fixtures."""
        self.cli_sessions: set[str] = set()
        """Ids of the `stripe listen` sessions; each receives every event."""
        self.cause = Cause()

    @contextmanager
    def change(self, cause: Cause = Cause()) -> Iterator[None]:
        """Run a change in one transaction. A CardError commits, to keep the failed charge."""
        self.cause = cause
        try:
            with transaction(self.connection, keep_on=CardError):
                yield
        finally:
            self.cause = Cause()

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Deliver no events of the changes inside; they are stored all the same."""
        self.is_muted = True
        try:
            yield
        finally:
            self.is_muted = False

    def reset(self) -> None:
        """Forget everything: objects, jobs, deliveries, settings, faults and logged requests."""
        for table in _TABLES:
            self.connection.execute(f"DELETE FROM {table}")  # noqa: S608 (names of our own)
        self.clock.offset = 0.0
        self.switches = Switches()
        self.faults.remove()
        self.requests.clear()
        self.jobs.changed.set()

    def advance_clock(self, seconds: float) -> None:
        """Move the clock forward and wake the worker, as jobs may be due."""
        self.clock.advance(seconds)
        self.set_setting("clock_offset", repr(self.clock.offset))
        self.jobs.changed.set()

    def set_switches(self, switches: Switches) -> None:
        """Set and store the fault switches."""
        self.switches = switches
        self.set_setting("switches", switches.to_json())

    def setting_value(self, name: str) -> str | None:
        """A stored setting."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row["value"]) if row else None

    def set_setting(self, name: str, value: str) -> None:
        """Store a setting."""
        self.connection.execute(
            "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value)
        )
