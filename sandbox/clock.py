"""Decides what time it is: the machine's time, plus what the developer has advanced it by."""

from __future__ import annotations

import time

MAX_OFFSET = 10 * 366 * 86400.0
"""How many seconds a clock can be ahead at most: dates and cards have to stay in this century."""


class Clock:
    """A clock that can be put forward and never back."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Seconds since the epoch, by the account's clock."""
        return time.time() + self.offset

    def timestamp(self) -> int:
        """The whole second, as Stripe's objects carry it."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Put the clock forward. Raises ValueError for a step back, or too far ahead."""
        if not 0 <= seconds <= MAX_OFFSET - self.offset:
            raise ValueError("the clock only goes forward, and no more than ten years in all")
        self.offset += seconds
