"""Fault injection for deliveries and API responses."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Switches:
    """Fault switches; by default all are off. Delays are in seconds."""

    match: str = "*"
    """Event types that the delivery switches apply to, such as `charge.*`."""
    delay: float = 0.0
    """Delay each delivery."""
    shuffle: float = 0.0
    """Delay each delivery by a random time up to this, so that the order changes."""
    duplicate: bool = False
    """Deliver each event twice, concurrently."""
    drop: bool = False
    """Do not deliver; the event is still stored."""
    fail_first: int = 0
    """Fail this many attempts of each delivery without sending them."""
    api_delay: float = 0.0
    """Delay API responses."""
    api_error: int = 0
    """Fail API requests with this status: 429, 403, 500 …; 0 is off."""

    @classmethod
    def from_json(cls, text: str | None) -> Switches:
        """Load stored switches; all off if none are stored."""
        return cls(**json.loads(text)) if text else cls()

    def to_json(self) -> str:
        """Serialize for storage."""
        return json.dumps(asdict(self))

    def apply_to(self, event_type: str) -> bool:
        """Whether the delivery switches apply to this event type."""
        return fnmatchcase(event_type, self.match)

    def send_delays(self, event_type: str) -> list[float]:
        """Delays of an event's deliveries, one for each copy; empty if it is dropped."""
        if not self.apply_to(event_type):
            return [0.0]
        if self.drop:
            return []
        copies = 2 if self.duplicate else 1
        return [self.delay + _RANDOM.uniform(0, self.shuffle) for _ in range(copies)]

    def fails(self, event_type: str, attempt: int) -> bool:
        """Whether this attempt fails without being sent."""
        return self.apply_to(event_type) and attempt <= self.fail_first
