"""Faults for one route or the next requests: an error, a delay, a lost request or a lost answer.

The fault switches of the control page apply to every request; a fault applies to those that match
its method, path and API key, and only as often as it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase

from sandbox.errors import ApiError, invalid
from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject

DROPS = ("", "request", "answer")
_METHODS = ("*", "GET", "POST", "DELETE")
_TYPES = ("api_error", "card_error", "idempotency_error", "invalid_request_error")
_MAX_DELAY = 3600.0
_MAX_TEXT = 500
_MAX_FAULTS = 100


@dataclass(frozen=True)
class Fault:
    """A fault of the API. Of error, delay and drop, any combination is possible."""

    id: str
    method: str = "*"
    path: str = "*"
    """Pattern of the request's path, such as `/v1/refunds` or `/v1/checkout/sessions/*`."""
    key: str = ""
    """The end of the request's API key, such as its last four characters; empty is any key."""
    times: int = 0
    """How many requests it applies to; 0 is no limit."""
    after: int = 0
    """How many matching requests are left alone before."""
    status: int = 0
    """Status of the error response; 0 is no error. The request is not carried out."""
    type: str = ""
    """Type of the error; by default the one that Stripe uses with the status."""
    code: str = ""
    message: str = ""
    delay: float = 0.0
    """Seconds before the request is handled."""
    drop: str = ""
    """`request`: close the connection and do nothing. `answer`: carry the request out and close."""
    matched: int = 0
    """How many requests have matched so far."""

    def matches(self, method: str, path: str, key: str) -> bool:
        """Whether a request has this fault's method, path and API key."""
        is_same_route = self.method in ("*", method) and fnmatchcase(path, self.path)
        return is_same_route and key.endswith(self.key)

    @property
    def is_due(self) -> bool:
        """Whether the fault applies to the request that was counted last."""
        number = self.matched - self.after
        return number > 0 and (not self.times or number <= self.times)

    @property
    def is_used_up(self) -> bool:
        """Whether it applies to no further request."""
        return bool(self.times) and self.matched >= self.after + self.times

    def error(self) -> ApiError | None:
        """The error response, if it has one."""
        if not self.status:
            return None
        kind, message = default_error(self.status)
        return ApiError(
            self.status,
            self.message or message,
            kind=self.type or kind,
            code=self.code or None,
        )


class Faults:
    """The faults that are set, oldest first. The first one that is due applies.

    They are kept in memory: a restarted sandbox has none.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def all(self) -> list[Fault]:
        """All faults, oldest first."""
        return list(self._faults)

    def add(self, fault: Fault) -> Fault:
        """Add a fault. Raises a 400 if there are too many."""
        if len(self._faults) >= _MAX_FAULTS:
            raise invalid(f"There can be up to {_MAX_FAULTS} faults.")
        self._faults.append(fault)
        return fault

    def remove(self, identifier: str | None = None) -> int:
        """Remove one fault, or all. Returns how many were removed."""
        kept = [each for each in self._faults if identifier not in (None, each.id)]
        removed = len(self._faults) - len(kept)
        self._faults = kept
        return removed

    def apply_to(self, method: str, path: str, key: str) -> Fault | None:
        """Count a request. Returns the fault that applies to it."""
        for index, fault in enumerate(self._faults):
            if fault.matches(method, path, key) and not fault.is_used_up:
                counted = replace(fault, matched=fault.matched + 1)
                self._faults[index] = counted
                if counted.is_due:
                    return counted
        return None


def fault_from(values: JsonObject) -> Fault:
    """Read a fault from a JSON object or a form. Raises a 400 that names what is wrong."""
    known = {each.name for each in fields(Fault)} - {"id", "matched"}
    for name in values:
        if name not in known:
            raise invalid(f"A fault has no {str(name)[:40]!r}; it has {', '.join(sorted(known))}.")
    fault = Fault(
        id=new_id("fault"),
        method=_one_of(values, "method", _METHODS, default="*", upper=True),
        path=_text(values, "path") or "*",
        key=_text(values, "key"),
        times=_integer(values, "times", 1_000_000),
        after=_integer(values, "after", 1_000_000),
        status=_integer(values, "status", 599),
        type=_one_of(values, "type", ("", *_TYPES), default=""),
        code=_text(values, "code"),
        message=_text(values, "message"),
        delay=_number(values, "delay", _MAX_DELAY),
        drop=_one_of(values, "drop", DROPS, default=""),
    )
    if fault.status and fault.status < 400:
        raise invalid("The status of a fault is from 400 to 599.")
    if not (fault.status or fault.delay or fault.drop):
        raise invalid("A fault has a status, a delay or a drop.")
    return fault


def default_error(status: int) -> tuple[str, str]:
    """Type and message of an error that was asked for by its status alone."""
    return _ERRORS.get(status, ("api_error", "An error occurred (set by the sandbox's user)."))


_ERRORS = {
    400: ("invalid_request_error", "The request was refused (set by the sandbox's user)."),
    401: ("invalid_request_error", "Invalid API Key provided (set by the sandbox's user)."),
    402: ("card_error", "The card was declined (set by the sandbox's user)."),
    403: ("invalid_request_error", "This key may not do that (set by the sandbox's user)."),
    404: ("invalid_request_error", "There is no such object (set by the sandbox's user)."),
    409: ("invalid_request_error", "Another request is in progress (set by the sandbox's user)."),
    429: ("invalid_request_error", "Too many requests (set by the sandbox's user)."),
}


def _text(values: JsonObject, name: str) -> str:
    value = values.get(name)
    text = "" if value is None else str(value).strip()
    if len(text) > _MAX_TEXT:
        raise invalid(f"The fault's {name} can have up to {_MAX_TEXT} characters.")
    return text


def _one_of(
    values: JsonObject, name: str, choices: Iterable[str], *, default: str, upper: bool = False
) -> str:
    text = _text(values, name) or default
    text = text.upper() if upper else text
    if text not in choices:
        shown = ", ".join(filter(None, choices))
        raise invalid(f"The fault's {name} is one of {shown}.")
    return text


def _integer(values: JsonObject, name: str, most: int) -> int:
    number = _number(values, name, most)
    if number != int(number):
        raise invalid(f"The fault's {name} is a whole number.")
    return int(number)


def _number(values: JsonObject, name: str, most: float) -> float:
    try:
        number = float(values.get(name) or 0)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= most:
        raise invalid(f"The fault's {name} is a number from 0 to {most:g}.")
    return number
