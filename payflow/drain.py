"""The end of a worker that loses no request.

hyper, which reads requests for granian, closes a connection that it has read nothing of when it is
told to end (its issue 3792): also one whose request has just arrived. So a worker first accepts no
more connections and serves those that it has for a second; then granian ends it.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 1.0

Handler = Callable[[int, FrameType | None], Any]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Drain:
    """What a worker does between a signal to end and its end."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._has_begun = False

    def precede(self, end: Handler) -> None:
        """Let SIGTERM and SIGINT drain this process, and call `end` then."""

        def drain(number: int, frame: FrameType | None) -> None:
            if not self._has_begun:
                self._has_begun = True
                stop_accepting(self._listener)
            time.sleep(SECONDS)
            end(number, frame)

        signal.signal(signal.SIGTERM, drain)
        signal.signal(signal.SIGINT, drain)

    def application(self, inner: Application) -> Application:
        """`inner`, whose answers close their connections while the worker drains.

        Otherwise a client could send its next request just when an idle connection is closed.
        """

        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                last = [("Connection", "close")] if self._has_begun else []
                return start_response(status, [*headers, *last], *rest)

            return inner(environ, start)

        return serve


def stop_accepting(listener: socket.socket) -> None:
    """Take this process's part in a listening socket that others share.

    Its descriptors become those of another socket, which nobody connects to. Closing them instead
    would free their numbers while granian uses them.
    """
    nobodys = socket.create_server(("127.0.0.1", 0), backlog=1)
    nobodys.setblocking(False)
    shared = os.fstat(listener.fileno())
    for number in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the listing's own descriptor is closed
            if os.path.samestat(os.fstat(number), shared):
                os.dup2(nobodys.fileno(), number)
    nobodys.detach()
