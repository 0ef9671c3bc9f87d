"""The request id: in the response, in each log line (payflow.logs), in a problem document."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

from billing import log_context

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="-")


def begin(offered: str) -> str:
    """Use the proxy's id if it is safe to log, else generate one."""
    chosen = offered if _ACCEPTED.fullmatch(offered) else secrets.token_hex(8)
    _current.set(chosen)
    log_context.start()
    return chosen


def current() -> str:
    """The id of the current request; "-" outside a request."""
    return _current.get()
