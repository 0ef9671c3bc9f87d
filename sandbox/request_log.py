"""The log of API requests received, for tests to assert on. It holds the last ones, in memory.

Card and account numbers, security codes and API keys are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from sandbox.json_types import JsonObject

MAX_ENTRIES = 1000
_HIDDEN = frozenset({"account_number", "client_secret", "cvc", "iban", "number"})
_MAX_TEXT = 200


@dataclass(frozen=True)
class LoggedRequest:
    """A request that the API received, with the outcome."""

    id: str
    at: float
    method: str
    path: str
    params: JsonObject
    status: int
    """Status of the response; 0 if the connection was closed without one."""
    error: str | None = None
    """Code of the error, or its type if it has none."""
    idempotency_key: str | None = None
    replayed: bool = False
    """Whether the response was the stored one of an earlier request."""
    api_version: str | None = None
    user_agent: str | None = None
    fault: str | None = None
    """Id of the fault that applied."""


@dataclass
class RequestLog:
    """The last requests, oldest first."""

    entries: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))

    def add(self, entry: LoggedRequest) -> None:
        """Add a request; the oldest one is dropped if there are too many."""
        self.entries.append(entry)

    def select(self, *, method: str | None = None, path: str | None = None) -> list[LoggedRequest]:
        """The requests of a method and a path; `*` in the path matches any text."""
        return [
            entry
            for entry in self.entries
            if method in (None, entry.method) and (path is None or fnmatchcase(entry.path, path))
        ]

    def clear(self) -> None:
        """Forget all requests."""
        self.entries.clear()


def loggable(values: Mapping[str, object]) -> JsonObject:
    """Parameters without what a log must not hold; long texts are shortened."""
    return {name: _loggable(name, value) for name, value in values.items()}


def _loggable(name: str, value: object) -> object:
    if isinstance(value, dict):
        return loggable(value)
    if name in _HIDDEN:
        return "***"
    text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
