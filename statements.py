"""SQL that is put together once and told to PostgreSQL many times.

For Django's ORM to write a statement takes several times as long as for PostgreSQL to carry it
out. What the webhook says for every event therefore goes through here; everything else says it
with the ORM itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.db import connections
from psycopg import errors

Parameters = Sequence[Any] | Mapping[str, Any]

# What PostgreSQL says when a pooler of transactions has changed the connection behind a prepared
# statement, or a migration the columns.
_NOT_AS_PREPARED = (
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    errors.FeatureNotSupported,
)
_preparing = {"is on": True}


def run(statement: LiteralString, parameters: Parameters) -> int:
    """Execute a statement; how many rows it touched. PostgreSQL plans it once for a connection.

    Where that cannot be, one statement fails for it, and from then on none is planned ahead.
    """
    database = connections["default"]
    if database.vendor != "postgresql":
        with database.cursor() as cursor:
            cursor.execute(statement, parameters)
            return int(cursor.rowcount)
    database.ensure_connection()
    with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
        try:
            cursor.execute(statement, parameters, prepare=_preparing["is on"])
        except _NOT_AS_PREPARED:
            _preparing["is on"] = False
            raise
        return cursor.rowcount
