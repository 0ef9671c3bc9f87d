"""Decides how objects are kept and found: JSON rows, newest last, with private facts beside them.

An object is loaded afresh each time, so changing it has no effect until it is saved.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from sandbox.errors import resource_missing
from sandbox.json_types import JsonObject


@dataclass
class Query:
    """Which objects of one kind are wanted; the empty query is all of them, newest first."""

    kind: str
    conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def where(self, condition: str, *values: object) -> None:
        """Narrow by an SQL condition over `objects`."""
        self.conditions.append(condition)
        self.values.extend(values)

    def where_equal(self, name: str, value: str) -> None:
        """Narrow to objects whose top-level field has this value."""
        self.where(f"json_extract(body, '$.{name}') = ?", value)


class Store:
    """The account's objects."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, obj: JsonObject, private: JsonObject | None = None) -> JsonObject:
        """Keep a new object, and what only the sandbox may know about it."""
        self._connection.execute(
            "INSERT INTO objects (id, kind, created, body) VALUES (?, ?, ?, ?)",
            (obj["id"], obj["object"], obj["created"], _dump(obj)),
        )
        if private is not None:
            self.set_private(obj["id"], private)
        return obj

    def save(self, obj: JsonObject) -> JsonObject:
        """Keep an object's new state."""
        self._connection.execute(
            "UPDATE objects SET body = ? WHERE id = ?", (_dump(obj), obj["id"])
        )
        return obj

    def remove(self, identifier: str) -> None:
        """Forget an object and its private facts."""
        self._connection.execute("DELETE FROM objects WHERE id = ?", (identifier,))
        self._connection.execute("DELETE FROM private_facts WHERE id = ?", (identifier,))

    def find(self, identifier: str) -> JsonObject | None:
        """The object with this id, of whatever kind."""
        row = self._connection.execute(
            "SELECT body FROM objects WHERE id = ?", (identifier,)
        ).fetchone()
        return _load(row["body"]) if row else None

    def get(self, kind: str, identifier: str, *, param: str = "id") -> JsonObject:
        """The object of this kind. Raises Stripe's `resource_missing`."""
        obj = self.find(identifier)
        if obj is None or obj["object"] != kind:
            raise resource_missing(kind, identifier, param=param)
        return obj

    def position(self, kind: str, identifier: str) -> int | None:
        """Where an object stands in the order of creation, for paging."""
        row = self._connection.execute(
            "SELECT seq FROM objects WHERE id = ? AND kind = ?", (identifier, kind)
        ).fetchone()
        return int(row["seq"]) if row else None

    def select(
        self, query: Query, *, limit: int | None = None, oldest_first: bool = False
    ) -> list[JsonObject]:
        """The objects a query describes."""
        # Conditions are written in this package; what users send is always bound.
        conditions = " AND ".join(["kind = ?", *query.conditions])
        direction = "ASC" if oldest_first else "DESC"
        sql = f"SELECT body FROM objects WHERE {conditions} ORDER BY seq {direction} LIMIT ?"  # noqa: S608
        values: Sequence[object] = (query.kind, *query.values, -1 if limit is None else limit)
        return [_load(row["body"]) for row in self._connection.execute(sql, values)]

    def all(self, kind: str) -> Iterator[JsonObject]:
        """Every object of a kind, oldest first."""
        yield from self.select(Query(kind), oldest_first=True)

    def set_private(self, identifier: str, facts: JsonObject) -> None:
        """Keep what only the sandbox may know about an object."""
        self._connection.execute(
            "INSERT OR REPLACE INTO private_facts (id, body) VALUES (?, ?)",
            (identifier, _dump(facts)),
        )

    def get_private(self, identifier: str) -> JsonObject:
        """What only the sandbox knows about an object; empty when nothing."""
        row = self._connection.execute(
            "SELECT body FROM private_facts WHERE id = ?", (identifier,)
        ).fetchone()
        return _load(row["body"]) if row else {}


def _dump(value: JsonObject) -> str:
    return json.dumps(value, separators=(",", ":"))


def _load(text: str) -> JsonObject:
    return cast(JsonObject, json.loads(text))
