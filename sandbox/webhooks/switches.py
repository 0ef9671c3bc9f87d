"""Decides how deliveries and API answers can be made to misbehave, to see what an app does then."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Switches:
    """Everything off is a Stripe in good health. Delays are seconds."""

    match: str = "*"
    """Which event types the delivery switches apply to, such as `charge.*`."""
    delay: float = 0.0
    """Hold each delivery back for so long."""
    shuffle: float = 0.0
    """Hold each delivery back for a random time up to this, so that order is lost."""
    duplicate: bool = False
    """Deliver each event twice, at once."""
    drop: bool = False
    """Never deliver: the event exists, nobody is told."""
    fail_first: int = 0
    """Treat so many attempts of each delivery as failed without sending them."""
    api_delay: float = 0.0
    """Answer API requests so much later."""
    api_error: int = 0
    """Answer API requests with this status: 429, 403, 500 …; 0 is off."""

    @classmethod
    def from_json(cls, text: str | None) -> Switches:
        """The switches as they were kept; all off when they never were."""
        return cls(**json.loads(text)) if text else cls()

    def to_json(self) -> str:
        """The switches as they are kept."""
        return json.dumps(asdict(self))

    def apply_to(self, event_type: str) -> bool:
        """Whether the delivery switches concern events of this type."""
        return fnmatchcase(event_type, self.match)

    def send_delays(self, event_type: str) -> list[float]:
        """When to send an event: one delay for each copy, none when it is dropped."""
        if not self.apply_to(event_type):
            return [0.0]
        if self.drop:
            return []
        copies = 2 if self.duplicate else 1
        return [self.delay + _RANDOM.uniform(0, self.shuffle) for _ in range(copies)]

    def fails(self, event_type: str, attempt: int) -> bool:
        """Whether this attempt is to be taken for failed without being sent."""
        return self.apply_to(event_type) and attempt <= self.fail_first
