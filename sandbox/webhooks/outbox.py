"""Decides what is known about deliveries: which are outstanding, and how each attempt went."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_MAX_STORED_RESPONSE = 500


@dataclass(frozen=True)
class Delivery:
    """One attempt to hand over one event. `status` is None when no answer came."""

    event: str
    type: str
    target: str
    url: str
    attempt: int
    at: float
    status: int | None
    error: str | None
    answer: str | None
    milliseconds: int

    @property
    def accepted(self) -> bool:
        """Any 2xx is success; a redirect is not."""
        return self.status is not None and 200 <= self.status < 300


class Outbox:
    """Outstanding deliveries and the log of attempts."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add_pending(self, event: str, target: str) -> None:
        """Note that a target has yet to accept an event."""
        self._connection.execute(
            "INSERT OR IGNORE INTO pending_deliveries (event, target) VALUES (?, ?)",
            (event, target),
        )

    def mark_accepted(self, event: str, target: str) -> None:
        """Note that a target has accepted an event."""
        self._connection.execute(
            "DELETE FROM pending_deliveries WHERE event = ? AND target = ?", (event, target)
        )

    def pending_count(self, event: str) -> int:
        """How many targets have yet to accept an event."""
        row = self._connection.execute(
            "SELECT count(*) AS n FROM pending_deliveries WHERE event = ?", (event,)
        ).fetchone()
        return int(row["n"])

    def pending_events(self, target: str) -> list[str]:
        """The events a target has yet to accept."""
        rows = self._connection.execute(
            "SELECT event FROM pending_deliveries WHERE target = ?", (target,)
        )
        return [row["event"] for row in rows]

    def pending_targets(self) -> list[str]:
        """The targets that have yet to accept something."""
        rows = self._connection.execute("SELECT DISTINCT target FROM pending_deliveries")
        return [row["target"] for row in rows]

    def log(self, delivery: Delivery) -> None:
        """Keep how an attempt went, with the first part of the answer."""
        answer = delivery.answer[:_MAX_STORED_RESPONSE] if delivery.answer is not None else None
        self._connection.execute(
            "INSERT INTO deliveries"
            " (event, type, target, url, attempt, at, status, error, answer, milliseconds)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                delivery.event,
                delivery.type,
                delivery.target,
                delivery.url,
                delivery.attempt,
                delivery.at,
                delivery.status,
                delivery.error,
                answer,
                delivery.milliseconds,
            ),
        )

    def deliveries(self, event: str | None = None) -> list[Delivery]:
        """The attempts so far, oldest first; of one event, or of all."""
        rows = self._connection.execute(
            "SELECT event, type, target, url, attempt, at, status, error, answer, milliseconds"
            " FROM deliveries WHERE ?1 IS NULL OR event = ?1 ORDER BY id",
            (event,),
        )
        return [Delivery(*row) for row in rows]
