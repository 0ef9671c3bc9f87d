"""Stripe's search query language: `name:"Book" AND metadata["isbn"]:"1"`, as SQL conditions.

Stripe docs: https://docs.stripe.com/search#search-query-language
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.errors import ApiError, invalid
from sandbox.store import Query

_MAX_CLAUSES = 10
_MIN_SUBSTRING = 3
_CLAUSE = re.compile(
    r"""\s*(?P<negation>-)?(?P<field>[a-z_.\d]+)(?:\[(?P<quote>["'])(?P<key>.{1,40}?)(?P=quote)\])?
    \s*(?P<operator>:|~|>=|<=|>|<)\s*
    (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>[\w.\-]+))""",
    re.VERBOSE,
)
_CONNECTIVE = re.compile(r"\s+(AND|OR)\s+|\s+")


@dataclass(frozen=True)
class SearchFields:
    """The fields by which a kind of object is found, by the type of their values."""

    resource: str
    texts: frozenset[str]
    numbers: frozenset[str] = frozenset()
    booleans: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Condition:
    sql: str
    values: tuple[object, ...]


def add_search(query: Query, text: str, fields: SearchFields) -> None:
    """Add the conditions of a search to a query. Raises a 400 if the search is malformed."""
    conditions: list[_Condition] = []
    connectives: set[str] = set()
    position = 0
    while True:
        match = _CLAUSE.match(text, position)
        if match is None:
            raise _unreadable(text)
        conditions.append(_condition(match.groupdict(), fields))
        position = match.end()
        if not text[position:].strip():
            break
        between = _CONNECTIVE.match(text, position)
        if between is None:
            raise _unreadable(text)
        connectives.add(between[1] or "AND")
        position = between.end()
    _check_size(conditions, connectives)
    joined = f" {connectives.pop() if connectives else 'AND'} ".join(
        each.sql for each in conditions
    )
    query.where(f"({joined})", *(value for each in conditions for value in each.values))


def _check_size(conditions: list[_Condition], connectives: set[str]) -> None:
    if len(connectives) > 1:
        raise invalid("You cannot combine AND and OR in the same search query.", param="query")
    if len(conditions) > _MAX_CLAUSES:
        raise invalid(
            f"A search query can have at most {_MAX_CLAUSES} query clauses.", param="query"
        )


def _condition(clause: Mapping[str, str | None], fields: SearchFields) -> _Condition:
    quoted = clause["double"] if clause["double"] is not None else clause["single"]
    value = clause["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    path = _path(clause, fields)
    made = _comparison(str(clause["field"]), str(clause["operator"]), str(value), fields)
    if clause["bare"] == "null":
        made = _Condition("json_extract(body, ?) IS NULL", ())
    sql = f"NOT ifnull({made.sql}, 0)" if clause["negation"] else made.sql
    return _Condition(sql, (path, *made.values))


def _path(clause: Mapping[str, str | None], fields: SearchFields) -> str:
    name, key = clause["field"], clause["key"]
    if name == "metadata" and key is not None:
        return f'$.metadata."{key}"' if '"' not in key else "$.metadata.missing"
    if key is None and name in fields.texts | fields.numbers | fields.booleans:
        return f"$.{name}"
    raise invalid(
        f"Field `{name}` is an unsupported search field for resource `{fields.resource}`. See "
        f"http://stripe.com/docs/search#query-fields-for-{fields.resource} for a list of "
        "supported fields.",
        param="query",
    )


def _comparison(name: str, operator: str, value: str, fields: SearchFields) -> _Condition:
    if name in fields.booleans and operator == ":" and value in {"true", "false"}:
        return _Condition("json_extract(body, ?) = ?", (int(value == "true"),))
    if name in fields.numbers and operator != "~" and re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
        sign = "=" if operator == ":" else operator
        return _Condition(f"json_extract(body, ?) {sign} ?", (int(value),))
    if name in fields.texts | {"metadata"} and operator == ":":
        return _Condition("lower(json_extract(body, ?)) = ?", (value.lower(),))
    if name in fields.texts | {"metadata"} and operator == "~" and len(value) >= _MIN_SUBSTRING:
        return _Condition("instr(lower(json_extract(body, ?)), ?) > 0", (value.lower(),))
    raise invalid(
        f"The search operator `{operator}` does not take the value {value[:60]!r} for the field "
        f"`{name}`.",
        param="query",
    )


def _unreadable(text: str) -> ApiError:
    return invalid(f"We were unable to parse your search query: {text[:200]}.", param="query")
