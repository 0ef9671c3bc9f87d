"""Execution of hand-written SQL as prepared statements.

Django's ORM takes several times as long to build a statement as PostgreSQL takes to execute it, so
the statements of every event and of the API's lists are constants; everything else uses the ORM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestamptzLoader

Parameters = Sequence[Any] | Mapping[str, Any]

# Raised after a pooler has switched to a server connection without the prepared statement, or a
# migration has changed its columns.
_NOT_PREPARED = (
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    errors.FeatureNotSupported,
)


class _Preparing:
    """Whether this process prepares statements."""

    enabled = settings.DATABASE_PREPARE


class _Cursor(psycopg.Cursor[Any]):
    """Prepares statements on the server; Django's own cursor sends them with their values."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        # Django's is written in Python: it takes longer for a list than the list's query.
        self.adapters.register_loader("timestamptz", TimestamptzLoader)

    def execute(self, query: Any, params: Any = None, **_: Any) -> _Cursor:
        try:
            return super().execute(query, params, prepare=_Preparing.enabled)
        except _NOT_PREPARED:
            _Preparing.enabled = False
            if self.connection.info.transaction_status != TransactionStatus.IDLE:
                raise  # the transaction has failed
        return super().execute(query, params, prepare=False)

    def _convert_query(self, *given: Any) -> Any:
        self._query = super()._convert_query(*given)  # where Django's log of queries looks
        return self._query


def execute(statement: str, parameters: Parameters) -> int:
    """Execute a statement and return the number of affected rows.

    If prepared statements do not work (behind some poolers), one transaction fails and this process
    stops preparing statements.
    """
    cursor = _cursor()
    cursor.execute(statement, parameters)
    return int(cursor.rowcount)


def fetch(statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    """Execute a query and return its rows; times are in UTC, on SQLite without a time zone."""
    cursor = _cursor()
    cursor.execute(statement, parameters)
    return list(cursor.fetchall())


def _cursor() -> Any:
    """A cursor with Django's errors, log and wrappers; on PostgreSQL one for each connection."""
    database: Any = connections["default"]
    if database.vendor != "postgresql":
        return database.cursor()
    database.ensure_connection()
    raw = database.connection
    if not hasattr(raw, "preparing_cursor"):
        raw.preparing_cursor = _Cursor(raw)
    return database._prepare_cursor(raw.preparing_cursor)
