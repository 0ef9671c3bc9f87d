"""Create the grants and keys that another system issued. Only their hashes are known here.

Rows are written by COPY, many times as fast as by models: their columns are listed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

_GRANT_COLUMNS = ("id", "user_id", "tier", "created_at")
_KEY_COLUMNS = (
    *("user_id", "grant_id", "key_hash", "key_prefix", "name"),
    *("revealed_at", "created_at"),
)


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """`grant_id` is the grant to use; None makes one."""

    user_id: int
    key_hash: str
    prefix: str
    name: str
    tier: str
    created_at: datetime
    grant_id: int | None = None


def create_grants(owners: Sequence[tuple[int, str, datetime]]) -> list[int]:
    """The ids of a grant for each user, tier and time."""
    ids = _next_ids(len(owners))
    insert("grants", _GRANT_COLUMNS, [(pk, *each) for pk, each in zip(ids, owners, strict=True)])
    return ids


def create_keys(keys: Sequence[ImportedKey]) -> None:
    """The keys, which their owners know already: they can't be revealed again."""
    alone = [key for key in keys if key.grant_id is None]
    made = iter(create_grants([(key.user_id, key.tier, key.created_at) for key in alone]))
    rows = (
        (
            *(key.user_id, key.grant_id or next(made), key.key_hash, key.prefix, key.name),
            *(key.created_at, key.created_at),
        )
        for key in keys
    )
    insert("api_keys", _KEY_COLUMNS, rows)


def insert(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows; other columns get their default of the database. The names are ours."""
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(columns))
        cursor.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
            [[_adapted(value) for value in row] for row in rows],
        )


def _next_ids(count: int) -> list[int]:
    """Ids that no other grant gets."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence('grants', 'id'))"
                " FROM generate_series(1, %s)",
                [count],
            )
            return [pk for (pk,) in cursor.fetchall()]
        # SQLite has one writer, and this transaction is it.
        cursor.execute(
            "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'grants'), 0)"
        )
        (last,) = cursor.fetchone()
        return list(range(last + 1, last + 1 + count))


def _adapted(value: Any) -> Any:
    adapt = connection.ops.adapt_datetimefield_value
    return adapt(value) if isinstance(value, datetime) else value
