"""Hears from PostgreSQL which cached keys have changed, whoever changed them; and asks it.

Triggers send what changed (migrations/0002): a key's hash, `grant:ID`, `user:ID`, or `all`. The
listener has a connection and a thread of its own in every process, begun by the first lookup
there. It fails closed: the cache serves for LEASE seconds after the last answered heartbeat, and
is emptied when the connection is lost. News travels on the connection that the heartbeat proves
to be alive, so what was committed before an answered heartbeat has been heard or is on its way.

Beside it the listener keeps a second connection for the process's queries about keys, and for
noting their use. A miss that asks there, by a prepared statement, costs a third of one on Django's
connection; where it fails, Django's is asked.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.db import connections
from psycopg import errors

from apikeys.cache.store import CACHE, KeyCache

logger = logging.getLogger(__name__)

# What Django's own connections are made with and ours are not; the rest is the operator's.
_DJANGO_PARAMETERS = ("context", "cursor_factory", "prepare_threshold", "client_encoding")
_EXCLUDED_PARAMETERS = frozenset((*_DJANGO_PARAMETERS, "row_factory", "autocommit"))

CHANNEL = "payflow_api_keys"
# A key that has ended is refused everywhere within a second, also when the connection died
# without a word: the lease runs out first.
LEASE = 0.7
HEARTBEAT = 0.2
RECONNECT_AFTER = 1.0
# For queries: whoever holds a table is not waited for, and nothing said there is worth a sync.
_SESSION_SETTINGS = """
    SET statement_timeout = '5s'; SET lock_timeout = '50ms'; SET synchronous_commit = off
"""
_QUERY_ERRORS = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
    psycopg.DataError,  # of this one row
)


class PoolerDetected(Exception):
    """A connection pooler stands between: it would swallow the news."""


class Unavailable(Exception):
    """There is no connection for queries, or it has failed: ask Django's."""


class Listener:
    def __init__(self, cache: KeyCache) -> None:
        self._cache = cache
        self.reset()

    def reset(self) -> None:
        """As new: a forked process has no thread, and may have inherited a held lock."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False
        self._asking = threading.Lock()
        # One cursor for all of them: to make another takes as long as to read an answer.
        self._query_cursor: psycopg.Cursor[Any] | None = None

    def query(
        self, statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """The one row that the statement finds or returns, committed. Raises Unavailable."""
        with self._asking:
            queries = self._query_cursor  # once: the listener's thread may take it away meanwhile
            if queries is None:
                raise Unavailable
            try:
                return queries.execute(statement, parameters, prepare=True).fetchone()
            except _QUERY_ERRORS as error:
                raise Unavailable from error
            except psycopg.Error as error:
                # It may fail for ever: a prepared statement does after a column has changed its
                # type. The listener opens another one.
                self._query_cursor = None
                queries.connection.close()
                logger.warning("The connection for queries about keys failed: %s", error)
                raise Unavailable from error

    def ensure_running(self) -> None:
        """Begin to listen, unless this process does."""
        if _is_alive(self._thread):
            return
        with self._lock:
            if not _is_alive(self._thread):
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="key listener", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Turn the cache off and close the connection."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:  # whatever it is, the next try may find it gone
                self._warn_once(error)
            finally:
                self._query_cursor = None
                self._cache.disable()
            self._stopping.wait(RECONNECT_AFTER)

    def _listen(self) -> None:
        with _connected() as news:
            news.execute(f"LISTEN {CHANNEL}")
            while not self._stopping.is_set():
                with _connected() as queries:
                    queries.execute(_SESSION_SETTINGS)
                    self._serve(news, queries)

    def _serve(self, news: psycopg.Connection[Any], queries: psycopg.Connection[Any]) -> None:
        """Renew the lease while queries are answered.

        Until there is another connection for them, nothing renews it, but the news is heard: what
        the cache holds is still right when the lease begins again.
        """
        self._heartbeat(news)
        self._query_cursor = queries.cursor()
        while not (self._stopping.is_set() or queries.closed):
            self._drain(news, HEARTBEAT)
            self._heartbeat(news)

    def _heartbeat(self, news: psycopg.Connection[Any]) -> None:
        asked = time.monotonic()
        _check_alive(news)
        self._drain(news, 0)  # what came along with the answer
        self._cache.extend_lease(asked + LEASE)
        self._warned = False

    def _drain(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        for news in connection.notifies(timeout=seconds):
            self._handle_notification(news.payload)

    def _handle_notification(self, payload: str) -> None:
        kind, _, number = payload.partition(":")
        is_id = number.isascii() and number.isdigit() and len(number) < 20
        if kind == "grant" and is_id:
            self._cache.invalidate_grant(int(number))
        elif kind == "user" and is_id:
            self._cache.invalidate_user(int(number))
        elif len(payload) == 64:
            self._cache.invalidate(payload)
        else:  # "all", and whatever a later version may send
            self._cache.invalidate_all()

    def _warn_once(self, error: Exception) -> None:
        if not self._warned:
            expected = isinstance(error, (psycopg.Error, OSError, PoolerDetected))
            logger.warning(
                "API keys are not cached, every check asks the database: %s",
                error,
                exc_info=None if expected else error,
            )
        self._warned = True


def _is_alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()


def _check_alive(connection: psycopg.Connection[Any]) -> None:
    """Raise unless the very server process that we are connected to answers.

    A pooler that shares server connections between clients accepts LISTEN and delivers nothing.
    It cannot know, when it greets a client, which server process will answer.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        raise PoolerDetected("a connection pooler stands before PostgreSQL")


def _connected() -> psycopg.Connection[Any]:
    connection = psycopg.connect(**_parameters(), autocommit=True)
    connection.execute("SET TIME ZONE 'UTC'")
    return connection


def _parameters() -> dict[str, Any]:
    """Django's own connection parameters, made to notice a dead server.

    All of them: a search_path among the OPTIONS says which keys there are.
    """
    parameters = connections["default"].get_connection_params()
    return {
        **{name: value for name, value in parameters.items() if name not in _EXCLUDED_PARAMETERS},
        "application_name": "payflow key listener",
        "connect_timeout": 3,
        "tcp_user_timeout": 3000,
        "keepalives_idle": 3,
    }


LISTENER = Listener(CACHE)


def _start_afresh() -> None:
    CACHE.reset()
    LISTENER.reset()


os.register_at_fork(after_in_child=_start_afresh)
