"""Which event, conversation and order is being handled, for every log record meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

Ids = Mapping[str, int | str]

_current: ContextVar[Ids] = ContextVar("log_context", default={})  # noqa: B039 - never changed


def start(**ids: int | str) -> None:
    """Forget what was handled before."""
    _current.set(ids)


def add(**ids: int | str | None) -> None:
    known = {name: value for name, value in ids.items() if value is not None}
    _current.set({**_current.get(), **known})


def current() -> Ids:
    return _current.get()
