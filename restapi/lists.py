"""Rows of a table as the API sends them, read by one statement and made into no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import orjson
from django.db import connection
from django.http import Http404, HttpResponse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from restapi import prepared_sql
from restapi.exceptions import InvalidParameters
from restapi.renderers import json_response

PAGE_SIZE, MAX_PAGE_SIZE = 50, 100
# PostgreSQL's bigint, and SQLite's integer.
MAX_ID = 2**63 - 1
_NEWER, _OLDER = "newer", "older"

Row = dict[str, Any]


class Filters(serializers.Serializer[Any]):
    """Query parameters of a list. The `source` of a field is a condition with the field's name."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_PAGE_SIZE, required=False, help_text="Items of a page; 50."
    )
    cursor = serializers.RegexField(
        r"^(newer|older)-[1-9][0-9]{0,17}$",
        required=False,
        help_text="Part of the URL in `next` and `previous`.",
    )
    createdAfter = serializers.DateTimeField(  # noqa: N815 - the API speaks camelCase
        source="created_at > %(createdAfter)s",
        required=False,
        help_text="Only what was created after this time.",
    )
    createdBefore = serializers.DateTimeField(  # noqa: N815
        source="created_at < %(createdBefore)s",
        required=False,
        help_text="Only what was created before this time.",
    )


class Page(serializers.Serializer[Any]):
    """The URLs of a page."""

    next = serializers.URLField(allow_null=True, help_text="The page of older items.")
    previous = serializers.URLField(allow_null=True, help_text="The page of newer items.")


@dataclass(frozen=True)
class Rows:
    """The rows of one table. `columns` has the expression of each member of an answer.

    `table` may use `%(now)s`.
    """

    name: str
    table: str
    columns: Mapping[str, str]
    filters: type[Filters] = Filters
    # Members whose column is JSON: SQL answers text, which stands in the answer as it is.
    json: Sequence[str] = ()

    def one(self, user_id: int | None, row_id: int) -> Row:
        """The user's row. Raises Http404: another user's is like one that does not exist."""
        found = self._select(user_id, ["id = %(id)s"], {"id": row_id}) if row_id <= MAX_ID else []
        if not found:
            raise Http404
        return found[0]

    def all(self, user_id: int | None) -> list[Row]:
        """All rows of the user, newest first."""
        return self._select(user_id, [], {}, newest_first=True)

    def page(self, request: Request) -> HttpResponse:
        """The answer to a list request, newest first. Raises InvalidParameters."""
        conditions, values = self._parameters(request)
        limit = values.pop("limit", PAGE_SIZE)
        direction, _, start = values.pop("cursor", "").partition("-")
        backwards = direction == _NEWER
        if start:
            conditions.append("id > %(start)s" if backwards else "id < %(start)s")
            values["start"] = int(start)
        found = self._select(
            request.user.pk, conditions, values, newest_first=not backwards, limit=limit + 1
        )
        rows, more = found[:limit], len(found) > limit
        older, newer = (True, more) if backwards else (more, bool(start))
        if backwards:
            rows.reverse()
        return json_response(
            {
                self.name: rows,
                "next": _link(request, _OLDER, rows[-1]) if rows and older else None,
                "previous": _link(request, _NEWER, rows[0]) if rows and newer else None,
            }
        )

    def _parameters(self, request: Request) -> tuple[list[str], dict[str, Any]]:
        """The request's conditions, and the values of its parameters by their names."""
        conditions, values, faults = [], {}, {}
        for name, value in request.query_params.items():
            field = self._fields[name]
            try:
                values[name] = field.run_validation(value)
            except serializers.ValidationError as error:
                faults[name] = error.detail
            if field.source != name:
                conditions.append(field.source)
        if faults:
            raise InvalidParameters(faults)
        return conditions, values

    @cached_property
    def _fields(self) -> Mapping[str, Any]:
        """The fields of the filters, bound once: a serializer copies them for each request."""
        return self.filters().fields

    @cached_property
    def _selected(self) -> str:
        return f"SELECT {', '.join(self.columns.values())} FROM {self.table}"  # noqa: S608

    def _select(
        self,
        user_id: int | None,
        conditions: Iterable[str],
        values: Mapping[str, Any],
        *,
        newest_first: bool = False,
        limit: int = MAX_ID,
    ) -> list[Row]:
        """Rows of a user; the texts are this module's and the app's own."""
        where = " AND ".join(("user_id = %(user_id)s", *conditions))
        order = "id DESC" if newest_first else "id"
        statement = f"{self._selected} WHERE {where} ORDER BY {order} LIMIT %(limit)s"
        given = {name: _asked(value) for name, value in values.items()}
        given |= {"user_id": user_id, "limit": limit}
        if "%(now)s" in self.table:
            given["now"] = _asked(timezone.now())
        try:
            found = prepared_sql.fetch(statement, given)
        except OverflowError:  # SQLite: an id that no row has
            return []
        names = tuple(self.columns)
        rows = [dict(zip(names, row, strict=True)) for row in found]
        for name in self.json:
            for row in rows:
                row[name] = orjson.Fragment(row[name])
        return rows


def _asked(value: Any) -> Any:
    """A time as the database compares it."""
    adapt = connection.ops.adapt_datetimefield_value
    return adapt(value) if isinstance(value, datetime) else value


def _link(request: Request, direction: str, row: Row) -> str:
    """The URL of the page beyond this row."""
    query = {**request.query_params.dict(), "cursor": f"{direction}-{row['id']}"}
    return request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
