"""The object store: Stripe's objects as JSON rows, each with optional private data.

Every read returns a new copy; changes to it take effect with `save`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.encoding import compact, load
from sandbox.errors import resource_missing
from sandbox.json_types import JsonObject


@dataclass
class Query:
    """A query for objects of one kind, newest first. Without conditions it selects all."""

    kind: str
    conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def where(self, condition: str, *values: object) -> None:
        """Add an SQL condition on `objects`."""
        self.conditions.append(condition)
        self.values.extend(values)

    def where_equal(self, name: str, value: str) -> None:
        """Select objects whose field has this value; a dot separates nested names."""
        self.where(f"json_extract(body, '$.{name}') = ?", value)

    def where_in(self, name: str, values: Sequence[str]) -> None:
        """Select objects whose field has one of these values."""
        marks = ", ".join("?" * len(values))
        self.where(f"json_extract(body, '$.{name}') IN ({marks})", *values)


class Store:
    """Stores the account's objects."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, obj: JsonObject, private: JsonObject | None = None) -> JsonObject:
        """Insert an object and its private data, which the API never shows.

        A few of Stripe's objects do not show when they were created.
        """
        self._connection.execute(
            "INSERT INTO objects (id, kind, created, body) VALUES (?, ?, ?, ?)",
            (obj["id"], obj["object"], obj.get("created", 0), compact(obj)),
        )
        if private is not None:
            self.set_private(obj["id"], private)
        return obj

    def save(self, obj: JsonObject) -> JsonObject:
        """Update an object."""
        self._connection.execute(
            "UPDATE objects SET body = ? WHERE id = ?", (compact(obj), obj["id"])
        )
        return obj

    def remove(self, identifier: str) -> None:
        """Delete an object and its private data."""
        self._connection.execute("DELETE FROM objects WHERE id = ?", (identifier,))
        self._connection.execute("DELETE FROM private_facts WHERE id = ?", (identifier,))

    def find(self, identifier: str) -> JsonObject | None:
        """The object with this id, of any kind."""
        row = self._connection.execute(
            "SELECT body FROM objects WHERE id = ?", (identifier,)
        ).fetchone()
        return load(row["body"]) if row else None

    def get(self, kind: str, identifier: str, *, param: str = "id") -> JsonObject:
        """The object of this kind. Raises Stripe's `resource_missing`."""
        obj = self.find(identifier)
        if obj is None or obj["object"] != kind:
            raise resource_missing(kind, identifier, param=param)
        return obj

    def position(self, kind: str, identifier: str) -> int | None:
        """An object's sequence number, for pagination."""
        row = self._connection.execute(
            "SELECT seq FROM objects WHERE id = ? AND kind = ?", (identifier, kind)
        ).fetchone()
        return int(row["seq"]) if row else None

    def select(
        self, query: Query, *, limit: int | None = None, oldest_first: bool = False
    ) -> list[JsonObject]:
        """The objects that match a query."""
        # Conditions come from this package only; values from requests are always bound.
        conditions = " AND ".join(["kind = ?", *query.conditions])
        direction = "ASC" if oldest_first else "DESC"
        sql = f"SELECT body FROM objects WHERE {conditions} ORDER BY seq {direction} LIMIT ?"  # noqa: S608
        values: Sequence[object] = (query.kind, *query.values, -1 if limit is None else limit)
        return [load(row["body"]) for row in self._connection.execute(sql, values)]

    def all(self, kind: str) -> Iterator[JsonObject]:
        """Every object of a kind, oldest first."""
        yield from self.select(Query(kind), oldest_first=True)

    def set_private(self, identifier: str, facts: JsonObject) -> None:
        """Set an object's private data."""
        self._connection.execute(
            "INSERT OR REPLACE INTO private_facts (id, body) VALUES (?, ?)",
            (identifier, compact(facts)),
        )

    def get_private(self, identifier: str) -> JsonObject:
        """An object's private data; empty if it has none."""
        row = self._connection.execute(
            "SELECT body FROM private_facts WHERE id = ?", (identifier,)
        ).fetchone()
        return load(row["body"]) if row else {}
