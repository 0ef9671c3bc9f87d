"""Persistent connections to PostgreSQL, checked without a query, and limits on waiting for locks.

Django's health check costs as much as a query for each request. A server that shuts down sends a
message or closes the socket: an idle connection whose socket is readable is stale.
"""

from __future__ import annotations

import logging
import select
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction

logger = logging.getLogger(__name__)

_LIMIT_LOCK_WAITS = """
    DO $do$
    DECLARE wanted text := 'lock_timeout=%dms';
    BEGIN
        IF NOT EXISTS (
            SELECT FROM pg_db_role_setting
            WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
            AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND wanted = ANY (setconfig)
        ) THEN
            EXECUTE format(
                'ALTER ROLE CURRENT_USER IN DATABASE %%I SET lock_timeout = %%L',
                current_database(), split_part(wanted, '=', 2)
            );
        END IF;
    END $do$
"""


def begin_request(**_: Any) -> None:
    """Give the statements of this thread's transactions the limit of a request's."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    connection.serves_requests = True
    close_stale_connections()


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


def limit_lock_waits(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Set the role's lock_timeout in this database, for statements outside of a transaction.

    It is a setting of the role because a pooler would carry one of a session over to another
    client. Called after every `migrate`.
    """
    if connections[using].vendor != "postgresql":
        return
    try:
        with transaction.atomic(using), connections[using].cursor() as cursor:
            cursor.execute(_LIMIT_LOCK_WAITS % settings.DATABASE_LOCK_TIMEOUT)
    except DatabaseError as error:  # a read-only database, another node at the same moment
        logger.warning("The role's lock_timeout was not set: %s", error)
