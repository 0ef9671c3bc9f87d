"""Failures of the database at a chosen statement boundary: before a statement, around a commit.

`Boundaries` counts what this thread's connection does, whatever code does it, so a test that runs
an action with the failure at the first, second, third … boundary until the action ends by itself
has met every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

Failure = Callable[["Boundaries"], None]


class Boundaries:
    """Counts boundaries, and lets one failure happen at the chosen one."""

    def __init__(self, failure: Failure, number: int) -> None:
        self.failure = failure
        self.number = number
        self.passed = 0
        self.cleanups: list[Callable[[], object]] = []

    @property
    def happened(self) -> bool:
        return self.passed >= self.number

    def reach(self) -> None:
        self.passed += 1
        if self.passed == self.number:
            self.failure(self)

    def around_statement(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.reach()
        return execute(*arguments)

    def around_commit(self, commit: Callable[[], Any]) -> None:
        self.reach()
        commit()
        self.passed += 1
        if self.passed == self.number:  # committed, and the answer is lost
            raise OperationalError("the connection was lost")


@contextmanager
def failing(failure: Failure, number: int) -> Iterator[Boundaries]:
    """Let the failure happen at this boundary of the block; repair everything afterwards."""
    boundaries = Boundaries(failure, number)
    wrap = boundaries.around_statement
    commit = connection._commit  # type: ignore[attr-defined]  # private
    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(wrap):
        patch.setattr(connection, "_commit", lambda: boundaries.around_commit(commit))
        try:
            yield boundaries
        finally:
            for cleanup in boundaries.cleanups:
                cleanup()
    if connection.vendor == "postgresql":
        connection.close()


def kill(boundaries: Boundaries) -> None:
    """End the server process of this connection, as a crash or an administrator does."""
    if connection.connection is None:
        return
    pid = connection.connection.info.backend_pid
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def refuse_connections(boundaries: Boundaries) -> None:
    """End this connection and refuse new ones until the action has ended."""

    def refused(*_: object) -> None:
        raise psycopg.OperationalError("FATAL: sorry, too many clients already")

    kill(boundaries)
    patch = pytest.MonkeyPatch()
    patch.setattr(connection, "get_new_connection", refused)
    boundaries.cleanups.append(patch.undo)


def make_read_only(boundaries: Boundaries) -> None:
    """Refuse every further write of this connection, as a standby does after a switch-over."""
    raw = connection.connection
    if raw is not None and raw.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
        raw.execute("SET default_transaction_read_only = on")
        raw.execute("SET transaction_read_only = on")


def error(sqlstate: str) -> Failure:
    """The server answers the statement with this error."""

    def fail(boundaries: Boundaries) -> None:
        code = f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}'; END $$"
        with connection.wrap_database_errors:
            connection.ensure_connection()
            connection.connection.execute(code)

    return fail


def fill_disk(boundaries: Boundaries) -> None:
    """SQLite: the file can't grow until the action has ended."""
    pragma(f"max_page_count = {pragma('page_count')}")
    boundaries.cleanups.append(lambda: pragma("max_page_count = 1073741823"))


def pragma(text: str) -> int:
    connection.ensure_connection()
    return int(connection.connection.execute(f"PRAGMA {text}").fetchone()[0])


POSTGRES_FAILURES: dict[str, Failure] = {
    "killed": kill,
    "full": error("53100"),
    "read-only": make_read_only,
    "out of connections": refuse_connections,
    "cancelled": error("57014"),
    "out of memory": error("53200"),
}
