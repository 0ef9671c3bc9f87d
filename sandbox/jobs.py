"""The job queue: jobs with a due time on the account's clock, stored in the database.

A job is deleted after it ran, not before, so a job interrupted by a stop runs again.
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
    """A scheduled job."""

    id: int
    name: str
    arguments: JsonObject


class JobQueue:
    """The jobs that have not finished."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.changed = asyncio.Event()

    def add(self, name: str, *, delay: float = 0.0, **arguments: Any) -> None:
        """Schedule a job after `delay` seconds."""
        self._connection.execute(
            "INSERT INTO jobs (due, name, arguments) VALUES (?, ?, ?)",
            (self._clock.now() + delay, name, json.dumps(arguments)),
        )
        self.changed.set()

    def due(self) -> list[Job]:
        """The jobs that are due, in order."""
        rows = self._connection.execute(
            "SELECT id, name, arguments FROM jobs WHERE due <= ? ORDER BY due, id",
            (self._clock.now(),),
        )
        return [Job(row["id"], row["name"], json.loads(row["arguments"])) for row in rows]

    def finish(self, job: Job) -> None:
        """Delete a finished job."""
        self._connection.execute("DELETE FROM jobs WHERE id = ?", (job.id,))

    def seconds_until_next(self, *, ignoring: frozenset[int] = frozenset()) -> float | None:
        """Seconds until the next job not in `ignoring` is due; None if there is none."""
        held = ",".join(str(identifier) for identifier in ignoring)
        row = self._connection.execute(
            f"SELECT due FROM jobs WHERE id NOT IN ({held}) ORDER BY due LIMIT 1"  # noqa: S608 (ids are numbers)
        ).fetchone()
        return None if row is None else max(0.0, row["due"] - self._clock.now())
