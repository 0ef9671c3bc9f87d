"""Persistent connections to PostgreSQL, checked without a query.

Django's health check costs as much as a query for each request. A server that shuts down sends a
message or closes the socket: an idle connection whose socket is readable is stale.
"""

from __future__ import annotations

import select
from typing import Any

from django.db import connections


def close_stale_connections(**_: Any) -> None:
    """Close connections that the server has written to or closed; Django opens new ones."""
    for connection in connections.all(initialized_only=True):
        raw = connection.connection
        if raw is None or connection.vendor != "postgresql" or connection.in_atomic_block:
            continue
        if raw.closed or _is_readable(raw.fileno()):
            connection.close()


def _is_readable(file_descriptor: int) -> bool:
    poll = select.poll()
    poll.register(file_descriptor, select.POLLIN)  # a message, or the end of the stream
    return bool(poll.poll(0))
