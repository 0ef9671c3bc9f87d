"""The end of a worker that loses no request.

hyper, which reads requests for granian, closes a connection that it has read nothing of when it is
told to end (its issue 3792): also one whose request has just arrived. So for a second a worker
accepts no more connections and serves those that it has; then granian ends it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 1.0
ENDING = {signal.SIGTERM, signal.SIGINT}

Handler = Callable[[int, FrameType | None], Any]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def block_signals() -> None:
    """Keep SIGTERM and SIGINT for `Drain.precede`. Call it before a thread is started.

    A thread of granian's could take them otherwise: the main thread would not be woken to run a
    handler of Python's.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


class Drain:
    """What a worker does between a signal to end and its end."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._has_begun = False

    def precede(self, end: Handler) -> None:
        """At the first SIGTERM or SIGINT drain this process, then call `end`. Ignore later ones."""

        def drain() -> None:
            number = signal.sigwait(ENDING)
            self._has_begun = True
            try:
                stop_accepting(self._listener)
                time.sleep(SECONDS)
            finally:
                end(number, None)

        threading.Thread(target=drain, daemon=True).start()

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
    """Stop accepting from a listening socket that other processes share.

    Its descriptors become those of another socket, which nobody connects to. Closing them instead
    would free their numbers while granian uses them. Raises OSError.
    """
    nobodys = socket.create_server(("127.0.0.1", 0), backlog=1)
    nobodys.setblocking(False)
    shared = os.fstat(listener.fileno())
    descriptors = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    for number in descriptors:
        with suppress(OSError):  # the listing's own descriptor is closed
            if os.path.samestat(os.fstat(number), shared):
                _forget(number, descriptors)
                os.dup2(nobodys.fileno(), number)
    nobodys.detach()


def _forget(listener: int, descriptors: Iterable[int]) -> None:
    """Remove a listener from every epoll: they watch the socket, whatever its number becomes.

    No other descriptor is touched: closing a duplicate of a database file's would release the locks
    that SQLite holds on the file.
    """
    for number in descriptors:
        with suppress(OSError):
            if str(Path(f"/dev/fd/{number}").readlink()) == "anon_inode:[eventpoll]":
                with select.epoll.fromfd(os.dup(number)) as poll:
                    poll.unregister(listener)
