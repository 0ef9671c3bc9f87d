"""Invalidates cached keys on PostgreSQL NOTIFY; also runs key queries on its own connection.

Triggers send what changed (migrations/0002): a key's hash, `grant:ID`, `user:ID`, or `all`. Every
process has one listener, with its own thread and connection, started by the first lookup. It
fails closed: the cache serves for LEASE seconds after the last answered heartbeat, and is emptied
when the connection is lost. Notifications and heartbeats use the same connection, so what was
committed before an answered heartbeat has been received or is on its way.

A second connection runs lookups and updates of `last_used_at`. A prepared statement there costs a
third of the same query on Django's connection, which is used if this one fails.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import errors

from apikeys.cache.store import CACHE, KeyCache

logger = logging.getLogger(__name__)

# Connection parameters that Django adds and our connections must not have.
_DJANGO_PARAMETERS = ("context", "cursor_factory", "prepare_threshold", "client_encoding")
_EXCLUDED_PARAMETERS = frozenset((*_DJANGO_PARAMETERS, "row_factory", "autocommit"))

CHANNEL = "payflow_api_keys"
# A revoked key must be refused by every process within a second, even if the connection was lost
# without an error: the lease ends first.
LEASE = 0.7
HEARTBEAT = 0.2
RECONNECT_AFTER = 1.0
# For queries: never wait long for a table lock, and don't wait for the disk at commit. They are
# parameters of the connection: a pooler does not carry those over to another client, as it would
# carry over what SET has set.
_QUERY_OPTIONS = "-c statement_timeout=5s -c lock_timeout=50ms -c synchronous_commit=off"
# Seconds: the server ends a statement before, if it can.
ANSWER_WITHIN = 6.0
_QUERY_ERRORS = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
    psycopg.DataError,  # a value in this row
)


class PoolerDetected(Exception):
    """There is a connection pooler, which would not deliver notifications."""


class Unavailable(Exception):
    """There is no connection for queries, or it failed: use Django's."""


class Listener:
    def __init__(self, cache: KeyCache) -> None:
        self._cache = cache
        self.reset()

    def reset(self) -> None:
        """Initial state: a forked process has no thread, and may have inherited a held lock."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False
        self._query_lock = threading.Lock()
        # Reused: creating a cursor takes as long as reading a result.
        self._query_cursor: psycopg.Cursor[Any] | None = None

    def query(
        self, statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """Run a statement, commit it and return its one row, if any. Raises Unavailable."""
        with self._query_lock:
            cursor = self._query_cursor  # read once: the listener's thread may reset it
            if cursor is None:
                raise Unavailable
            try:
                return cursor.execute(statement, parameters, prepare=True).fetchone()
            except _QUERY_ERRORS as error:
                raise Unavailable from error
            except psycopg.Error as error:
                # The error may be permanent, as for a prepared statement after a column changed
                # its type. The listener opens another connection.
                self._query_cursor = None
                cursor.connection.close()
                logger.warning("The connection for queries about keys failed: %s", error)
                raise Unavailable from error

    def ensure_running(self) -> None:
        """Start the listener if this process has none."""
        if _is_alive(self._thread):
            return
        with self._lock:
            if not _is_alive(self._thread):
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="key listener", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Disable the cache and close the connections."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join()
        self._warned = False

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:  # of any kind: the thread must go on and try again
                self._warn_once(error)
            finally:
                self._query_cursor = None
                self._cache.disable()
            self._stopping.wait(RECONNECT_AFTER)

    def _listen(self) -> None:
        with connect() as notify_conn:
            _check_alive(notify_conn)  # before LISTEN, which a pooler would carry over
            notify_conn.execute(f"LISTEN {CHANNEL}")
            database: Any = connections["default"]
            while not self._stopping.is_set():
                with connect(_QUERY_OPTIONS) as query_conn:
                    database.limit_waits(query_conn, lambda: ANSWER_WITHIN)
                    self._serve(notify_conn, query_conn)

    def _serve(
        self, notify_conn: psycopg.Connection[Any], query_conn: psycopg.Connection[Any]
    ) -> None:
        """Extend the lease until the connection for queries is closed.

        While that is replaced the lease ends, but no notification is lost: the cached keys are
        still correct when the lease starts again.
        """
        self._heartbeat(notify_conn)
        self._query_cursor = query_conn.cursor()
        while not (self._stopping.is_set() or query_conn.closed):
            self._drain(notify_conn, HEARTBEAT)
            self._heartbeat(notify_conn)

    def _heartbeat(self, notify_conn: psycopg.Connection[Any]) -> None:
        started_at = time.monotonic()
        _check_alive(notify_conn)
        self._drain(notify_conn, 0)  # what came with the answer
        self._cache.extend_lease(started_at + LEASE)
        self._warned = False

    def _drain(self, notify_conn: psycopg.Connection[Any], seconds: float) -> None:
        for notification in notify_conn.notifies(timeout=seconds):
            self._handle_notification(notification.payload)

    def _handle_notification(self, payload: str) -> None:
        kind, _, number = payload.partition(":")
        is_id = number.isascii() and number.isdigit() and len(number) < 20
        if kind == "grant" and is_id:
            self._cache.invalidate_grant(int(number))
        elif kind == "user" and is_id:
            self._cache.invalidate_user(int(number))
        elif len(payload) == 64:
            self._cache.invalidate(payload)
        else:  # "all", and anything that a later version sends
            self._cache.invalidate_all()

    def _warn_once(self, error: Exception) -> None:
        if not self._warned:
            expected = isinstance(error, (psycopg.Error, OSError, PoolerDetected))
            logger.warning(
                "API keys are not cached, every check queries the database: %s",
                error,
                exc_info=None if expected else error,
            )
        self._warned = True


def _is_alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()


def _check_alive(connection: psycopg.Connection[Any]) -> None:
    """Raise PoolerDetected unless the server process of this connection answers.

    A pooler that shares server connections between clients accepts LISTEN and delivers nothing.
    The process id that it reports on connecting is not that of the process that answers.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        raise PoolerDetected("there is a connection pooler in front of PostgreSQL")


def connect(options: str = "") -> psycopg.Connection[Any]:
    """A connection of its own to Django's database, with more `options` for its session."""
    parameters = connection_parameters()
    options = f"{parameters.get('options', '')} -c TimeZone=UTC {options}".strip()
    return psycopg.connect(**{**parameters, "options": options}, autocommit=True)


def connection_parameters() -> dict[str, Any]:
    """Django's connection parameters, and time limits to detect a dead server.

    All of Django's: a search_path among the OPTIONS selects the tables. DATABASE_DIRECT_URL says
    where the server is if Django's connections go through a pooler.
    """
    parameters = connections["default"].get_connection_params()
    return {
        **{name: value for name, value in parameters.items() if name not in _EXCLUDED_PARAMETERS},
        **_direct_parameters(),
        "application_name": "payflow key listener",
        "connect_timeout": 3,
        "tcp_user_timeout": 3000,
        "keepalives_idle": 3,
    }


def _direct_parameters() -> dict[str, Any]:
    direct: Mapping[str, Any] | None = settings.DATABASE_DIRECT
    if direct is None:
        return {}
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
    return {names[name]: direct[name] or None for name in names} | {"dbname": direct["NAME"]}


LISTENER = Listener(CACHE)


def _reset_after_fork() -> None:
    CACHE.reset()
    LISTENER.reset()


os.register_at_fork(after_in_child=_reset_after_fork)
