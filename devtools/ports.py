"""Free TCP ports of the loopback interface."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as candidate:
        # As servers do: a port with connections in TIME_WAIT only is free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return different free ports."""
    with ExitStack() as stack:
        candidates = [stack.enter_context(socket.socket()) for _ in range(count)]
        for candidate in candidates:
            candidate.bind((LOOPBACK, 0))
        return [candidate.getsockname()[1] for candidate in candidates]


def free_port() -> int:
    """Return a free port."""
    return free_ports(1)[0]
