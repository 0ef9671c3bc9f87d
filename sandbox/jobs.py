"""Decides what happens later: jobs with a due time by the account's clock, kept with the state.

A job leaves the table when it is done, not when it starts, so that a stop in between repeats it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from sandbox.clock import Clock
from sandbox.json_types import JsonObject


@dataclass(frozen=True)
class Job:
    """Something to be done at a time."""

    id: int
    name: str
    arguments: JsonObject


class JobQueue:
    """The jobs that are not done yet."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.changed = asyncio.Event()

    def add(self, name: str, *, delay: float = 0.0, **arguments: Any) -> None:
        """Have a job done after so many seconds."""
        self._connection.execute(
            "INSERT INTO jobs (due, name, arguments) VALUES (?, ?, ?)",
            (self._clock.now() + delay, name, json.dumps(arguments)),
        )
        self.changed.set()

    def due(self) -> list[Job]:
        """The jobs whose time has come, in order."""
        rows = self._connection.execute(
            "SELECT id, name, arguments FROM jobs WHERE due <= ? ORDER BY due, id",
            (self._clock.now(),),
        )
        return [Job(row["id"], row["name"], json.loads(row["arguments"])) for row in rows]

    def finish(self, job: Job) -> None:
        """Forget a job that is done."""
        self._connection.execute("DELETE FROM jobs WHERE id = ?", (job.id,))

    def seconds_until_next(self, *, ignoring: frozenset[int] = frozenset()) -> float | None:
        """How long until a job not in `ignoring` is due; None when there is none."""
        held = ",".join(str(identifier) for identifier in ignoring)
        row = self._connection.execute(
            f"SELECT due FROM jobs WHERE id NOT IN ({held}) ORDER BY due LIMIT 1"  # noqa: S608 (ids are numbers)
        ).fetchone()
        return None if row is None else max(0.0, row["due"] - self._clock.now())
