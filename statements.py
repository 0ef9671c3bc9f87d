"""SQL that is put together once and told to the database many times.

For Django's ORM to write a statement takes several times as long as for PostgreSQL to carry it
out. What the webhook says for every event therefore goes through here; everything else says it
with the ORM itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, LiteralString, NamedTuple, TypeVar

import psycopg
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, RawSQL
from django.db.transaction import TransactionManagementError
from psycopg import errors

Row = TypeVar("Row", bound=models.Model)
Parameters = Sequence[Any] | Mapping[str, Any]


# What PostgreSQL says when a pooler of transactions has changed the connection behind a prepared
# statement, or a migration the columns.
_NOT_AS_PREPARED = (
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    errors.FeatureNotSupported,
)
_preparing = {"is on": True}


@contextmanager
def run(sql: LiteralString, parameters: Parameters) -> Iterator[Any]:
    """A cursor that has executed the statement; PostgreSQL plans it once for each connection.

    Where that cannot be, one statement fails for it, and from then on none is planned ahead.
    """
    database = connections["default"]
    if database.vendor != "postgresql":
        with database.cursor() as cursor:
            cursor.execute(sql, parameters)
            yield cursor
        return
    database.ensure_connection()
    with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
        try:
            cursor.execute(sql, parameters, prepare=_preparing["is on"])
        except _NOT_AS_PREPARED:
            _preparing["is on"] = False
            raise
        yield cursor


class Find(Generic[Row]):
    """The one row of a queryset with a placeholder: `Find(lambda it: Order.objects.filter(pk=it))`.

    The placeholder stands for a whole number or a text, and is sent as it is given.
    """

    def __init__(self, queryset: Callable[[Any], models.QuerySet[Row]]) -> None:
        self._queryset = queryset
        self._written: dict[str, _Select[Row]] = {}

    def __call__(self, value: int | str) -> Row | None:
        """The row as a model's instance. A queryset that locks wants a transaction around it."""
        database = connections["default"]
        select = self._written.get(database.vendor) or self._write(database)
        if select.locks and not database.in_atomic_block:
            raise TransactionManagementError("A row is locked within a transaction only.")
        with run(select.sql, [value]) as cursor:
            row = cursor.fetchone()
        if row is None:
            return None
        values = list(row)
        for position, (functions, column) in select.converters.items():
            for convert in functions:
                values[position] = convert(values[position], column, database)
        return select.model.from_db("default", select.names, values)

    def _write(self, database: BaseDatabaseWrapper) -> _Select[Row]:
        queryset = self._queryset(RawSQL("%s", ["the placeholder"]))
        compiler = queryset.query.get_compiler("default")
        sql, parameters = compiler.as_sql()
        if parameters != ("the placeholder",):
            raise TypeError(f"Such a queryset has one placeholder and no other value: {sql}")
        columns = [column for column, *_ in compiler.select]
        names = [column.target.attname for column in columns if isinstance(column, Col)]
        converters = compiler.get_converters(columns)
        locks = bool(queryset.query.select_for_update)
        select = _Select(sql, queryset.model, names, converters, locks)
        return self._written.setdefault(database.vendor, select)


class _Select(NamedTuple, Generic[Row]):
    sql: Any
    model: type[Row]
    names: list[str]
    converters: Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]
    locks: bool
