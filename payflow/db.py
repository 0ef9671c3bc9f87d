"""Connections to PostgreSQL that a thread keeps from request to request.

To ask the server before each request whether it is still there costs as much as a query. A server
that goes away says so, or at least closes: then there is something to read on a connection that
waits for nothing.
"""

from __future__ import annotations

import select
from typing import Any

from django.db import connections


def close_stale_connections(**_: Any) -> None:
    """Close connections on which there is news; the request that begins opens new ones."""
    for connection in connections.all(initialized_only=True):
        kept = connection.connection
        if kept is None or connection.vendor != "postgresql" or connection.in_atomic_block:
            continue
        if kept.closed or _has_news(kept.fileno()):
            connection.close()


def _has_news(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN)  # a farewell, or the end of the stream
    return bool(poll.poll(0))
