"""Hears from PostgreSQL which cached keys have changed, whoever changed them; and asks it.

Triggers send what changed (migrations/0002): a key's hash, `grant:ID`, `user:ID`, or `all`. The
listener has a connection and a thread of its own in every process, begun by the first lookup
there. It fails closed: the cache serves for LEASE seconds after the last answered heartbeat, and
is emptied when the connection is lost. News travels on the connection that the heartbeat proves
to be alive, so what was committed before an answered heartbeat has been heard or is on its way.

Beside it the listener keeps a second connection for the process's questions about keys, and for
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

from apikeys.cache import CACHE, KeyCache

logger = logging.getLogger(__name__)

# What Django's own connections are made with and ours are not; the rest is the operator's.
_DJANGOS = ("context", "cursor_factory", "prepare_threshold", "client_encoding")
_NOT_OURS = frozenset((*_DJANGOS, "row_factory", "autocommit"))

CHANNEL = "payflow_api_keys"
# A key that has ended is refused everywhere within a second, also when the connection died
# without a word: the lease runs out first.
LEASE = 0.7
HEARTBEAT = 0.2
RECONNECT_AFTER = 1.0
# For questions: whoever holds a table is not waited for, and nothing said there is worth a sync.
_BRIEFLY = """
    SET statement_timeout = '5s'; SET lock_timeout = '50ms'; SET synchronous_commit = off
"""
_NOT_THE_CONNECTION = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
    psycopg.DataError,  # of this one row
)


class NotDirect(Exception):
    """A connection pooler stands between: it would swallow the news."""


class NoAnswer(Exception):
    """There is no connection for questions, or it has failed: ask Django's."""


class Listener:
    def __init__(self, cache: KeyCache) -> None:
        self._cache = cache
        self.reset()

    def reset(self) -> None:
        """As new: a forked process has no thread, and may have inherited a held lock."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained = False
        self._asking = threading.Lock()
        # One cursor for all of them: to make another takes as long as to read an answer.
        self._questions: psycopg.Cursor[Any] | None = None

    def ask(
        self, query: LiteralString, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """The one row that the statement finds or returns, committed. Raises NoAnswer."""
        with self._asking:
            questions = self._questions  # once: the listener's thread may take it away meanwhile
            if questions is None:
                raise NoAnswer
            try:
                return questions.execute(query, parameters, prepare=True).fetchone()
            except _NOT_THE_CONNECTION as error:
                raise NoAnswer from error
            except psycopg.Error as error:
                # It may fail for ever: a prepared statement does after a column has changed its
                # type. The listener opens another one.
                self._questions = None
                questions.connection.close()
                logger.warning("The connection for questions about keys failed: %s", error)
                raise NoAnswer from error

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
                self._complain(error)
            finally:
                self._questions = None
                self._cache.turn_off()
            self._stopping.wait(RECONNECT_AFTER)

    def _listen(self) -> None:
        with _connected() as news:
            news.execute(f"LISTEN {CHANNEL}")
            while not self._stopping.is_set():
                with _connected() as questions:
                    questions.execute(_BRIEFLY)
                    self._serve(news, questions)

    def _serve(self, news: psycopg.Connection[Any], questions: psycopg.Connection[Any]) -> None:
        """Renew the lease while questions are answered.

        Until there is another connection for them, nothing renews it, but the news is heard: what
        the cache holds is still right when the lease begins again.
        """
        self._renew(news)
        self._questions = questions.cursor()
        while not (self._stopping.is_set() or questions.closed):
            self._hear(news, HEARTBEAT)
            self._renew(news)

    def _renew(self, news: psycopg.Connection[Any]) -> None:
        asked = time.monotonic()
        _check_alive(news)
        self._hear(news, 0)  # what came along with the answer
        self._cache.renew(asked + LEASE)
        self._complained = False

    def _hear(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        for news in connection.notifies(timeout=seconds):
            self._take(news.payload)

    def _take(self, payload: str) -> None:
        kind, _, number = payload.partition(":")
        is_id = number.isascii() and number.isdigit() and len(number) < 20
        if kind == "grant" and is_id:
            self._cache.forget_grant(int(number))
        elif kind == "user" and is_id:
            self._cache.forget_user(int(number))
        elif len(payload) == 64:
            self._cache.forget(payload)
        else:  # "all", and whatever a later version may send
            self._cache.forget_all()

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            expected = isinstance(error, (psycopg.Error, OSError, NotDirect))
            logger.warning(
                "API keys are not cached, every check asks the database: %s",
                error,
                exc_info=None if expected else error,
            )
        self._complained = True


def _is_alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()


def _check_alive(connection: psycopg.Connection[Any]) -> None:
    """Raise unless the very server process that we are connected to answers.

    A pooler that shares server connections between clients accepts LISTEN and delivers nothing.
    It cannot know, when it greets a client, which server process will answer.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        raise NotDirect("a connection pooler stands before PostgreSQL")


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
        **{name: value for name, value in parameters.items() if name not in _NOT_OURS},
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
