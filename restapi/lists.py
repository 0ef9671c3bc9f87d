"""Rows of a table as the API sends them, read by one statement and made into no model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.http import Http404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from restapi.exceptions import InvalidParameters

PAGE_SIZE, MAX_PAGE_SIZE = 50, 100
# PostgreSQL's bigint, and SQLite's integer.
MAX_ID = 2**63 - 1
_NEWER, _OLDER = "newer", "older"

Row = dict[str, Any]
Condition = tuple[str, Any]


class Filters(serializers.Serializer[Any]):
    """Query parameters of a list. The `source` of a field is the condition on the table."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_PAGE_SIZE, required=False, help_text="Items of a page; 50."
    )
    cursor = serializers.RegexField(
        r"^(newer|older)-[1-9][0-9]{0,17}$",
        required=False,
        help_text="Part of the URL in `next` and `previous`.",
    )
    createdAfter = serializers.DateTimeField(  # noqa: N815 - the API speaks camelCase
        source="created_at > %s", required=False, help_text="Only what was created after this time."
    )
    createdBefore = serializers.DateTimeField(  # noqa: N815
        source="created_at < %s",
        required=False,
        help_text="Only what was created before this time.",
    )


class Page(serializers.Serializer[Any]):
    """The URLs of a page."""

    next = serializers.URLField(allow_null=True, help_text="The page of older items.")
    previous = serializers.URLField(allow_null=True, help_text="The page of newer items.")


@dataclass(frozen=True)
class Rows:
    """The rows of one table. `columns` has the expression of each member of an answer."""

    name: str
    table: str
    columns: Mapping[str, str]
    filters: type[Filters]
    # Members whose column is JSON: SQL answers text.
    json: Sequence[str] = ()

    def one(self, user_id: int | None, row_id: int) -> Row:
        """The user's row. Raises Http404: another user's is like one that does not exist."""
        found = self._select(user_id, [("id = %s", row_id)], "", 1) if row_id <= MAX_ID else []
        if not found:
            raise Http404
        return found[0]

    def page(self, request: Request) -> Response:
        """The answer to a list request, newest first. Raises InvalidParameters."""
        asked = self._parameters(request)
        limit = asked.pop("limit", PAGE_SIZE)
        direction, _, start = asked.pop("cursor", "").partition("-")
        conditions: list[Condition] = list(asked.items())
        backwards = direction == _NEWER
        if start:
            conditions.append(("id > %s" if backwards else "id < %s", int(start)))
        order = "ORDER BY id" if backwards else "ORDER BY id DESC"
        found = self._select(request.user.pk, conditions, order, limit + 1)
        rows, more = found[:limit], len(found) > limit
        older, newer = (True, more) if backwards else (more, bool(start))
        if backwards:
            rows.reverse()
        return Response(
            {
                self.name: rows,
                "next": _link(request, _OLDER, rows[-1]) if rows and older else None,
                "previous": _link(request, _NEWER, rows[0]) if rows and newer else None,
            }
        )

    def _parameters(self, request: Request) -> dict[str, Any]:
        """The parameters: `limit` and `cursor`, and the values of the conditions."""
        found, faults = {}, {}
        for name, value in request.query_params.items():
            field = self._fields[name]
            try:
                found[field.source] = field.run_validation(value)
            except serializers.ValidationError as error:
                faults[name] = error.detail
        if faults:
            raise InvalidParameters(faults)
        return found

    @cached_property
    def _fields(self) -> Mapping[str, Any]:
        """The fields of the filters, bound once: a serializer copies them for each request."""
        return self.filters().fields

    @cached_property
    def _selected(self) -> str:
        return f"SELECT {', '.join(self.columns.values())} FROM {self.table}"  # noqa: S608

    def _select(
        self, user_id: int | None, conditions: Sequence[Condition], order: str, limit: int
    ) -> list[Row]:
        """Rows of a user; the texts are this module's and the app's own."""
        where = "".join(f" AND {condition}" for condition, _ in conditions)
        statement = f"{self._selected} WHERE user_id = %s{where} {order} LIMIT {limit}"
        values = [user_id, *(_asked(value) for _, value in conditions)]
        with connection.cursor() as cursor:
            try:
                cursor.execute(statement, values)
            except OverflowError:  # SQLite: an id that no row has
                return []
            names = tuple(self.columns)
            found = [dict(zip(names, map(_answered, row), strict=True)) for row in cursor]
        for name in self.json:
            for row in found:
                row[name] = json.loads(row[name])
        return found


def _asked(value: Any) -> Any:
    """A time as the database compares it."""
    adapt = connection.ops.adapt_datetimefield_value
    return adapt(value) if isinstance(value, datetime) else value


def _answered(value: Any) -> Any:
    """SQLite returns UTC as naive times."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _link(request: Request, direction: str, row: Row) -> str:
    """The URL of the page beyond this row."""
    query = {**request.query_params.dict(), "cursor": f"{direction}-{row['id']}"}
    return request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
