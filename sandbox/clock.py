"""The account's clock: the system's time plus an offset that the developer can increase."""

from __future__ import annotations

import time

MAX_OFFSET = 10 * 366 * 86400.0
"""Maximum offset in seconds. Card expiry dates have two-digit years, so it must stay small."""


class Clock:
    """A clock that can be moved forward only."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.offset

    def timestamp(self) -> int:
        """Whole seconds since the epoch, as in Stripe's objects."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Raises ValueError beyond MAX_OFFSET or below zero."""
        if not 0 <= seconds <= MAX_OFFSET - self.offset:
            raise ValueError("the clock only moves forward, at most ten years in total")
        self.offset += seconds
