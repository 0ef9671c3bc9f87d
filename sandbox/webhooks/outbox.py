"""The outbox: pending deliveries, and the log of delivery attempts."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_MAX_STORED_RESPONSE = 500


@dataclass(frozen=True)
class Delivery:
    """One delivery attempt. `status` is None if there was no response."""

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
    """Pending deliveries and the log of attempts."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add_pending(self, event: str, target: str) -> None:
        """Add a pending delivery."""
        self._connection.execute(
            "INSERT OR IGNORE INTO pending_deliveries (event, target) VALUES (?, ?)",
            (event, target),
        )

    def mark_accepted(self, event: str, target: str) -> None:
        """Remove a pending delivery."""
        self._connection.execute(
            "DELETE FROM pending_deliveries WHERE event = ? AND target = ?", (event, target)
        )

    def pending_count(self, event: str) -> int:
        """Number of targets that have not accepted an event."""
        row = self._connection.execute(
            "SELECT count(*) AS n FROM pending_deliveries WHERE event = ?", (event,)
        ).fetchone()
        return int(row["n"])

    def pending_events(self, target: str) -> list[str]:
        """Ids of the events a target has not accepted."""
        rows = self._connection.execute(
            "SELECT event FROM pending_deliveries WHERE target = ?", (target,)
        )
        return [row["event"] for row in rows]

    def pending_targets(self) -> list[str]:
        """Targets with pending deliveries."""
        rows = self._connection.execute("SELECT DISTINCT target FROM pending_deliveries")
        return [row["target"] for row in rows]

    def log(self, delivery: Delivery) -> None:
        """Log an attempt, with the beginning of the response body."""
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
        """All attempts, or those of one event, oldest first."""
        rows = self._connection.execute(
            "SELECT event, type, target, url, attempt, at, status, error, answer, milliseconds"
            " FROM deliveries WHERE :event IS NULL OR event = :event ORDER BY id",
            {"event": event},
        )
        return [Delivery(*row) for row in rows]
