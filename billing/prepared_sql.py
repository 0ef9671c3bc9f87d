"""Execution of the webhook's hand-written SQL as prepared statements.

Django's ORM takes several times as long to build a statement as PostgreSQL takes to execute it, so
the statements that every event needs are constants; everything else uses the ORM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import errors

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


def execute(statement: LiteralString, parameters: Parameters) -> int:
    """Execute a statement and return the number of affected rows.

    If prepared statements do not work (behind some poolers), one execution fails and this process
    stops preparing statements.
    """
    database = connections["default"]
    if database.vendor != "postgresql":
        with database.cursor() as cursor:
            cursor.execute(statement, parameters)
            return int(cursor.rowcount)
    database.ensure_connection()
    with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
        try:
            cursor.execute(statement, parameters, prepare=_Preparing.enabled)
        except _NOT_PREPARED:
            _Preparing.enabled = False
            raise
        return cursor.rowcount
