"""List endpoints: filters, cursor pagination and the list envelope.

Stripe docs: https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.account import Account
from sandbox.errors import invalid, resource_missing
from sandbox.json_types import JsonObject
from sandbox.params import Params
from sandbox.store import Query

_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True)
class Collection:
    """A list endpoint: the kind of object, its URL and its filters."""

    kind: str
    url: str
    filters: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()


def list_objects(
    account: Account, collection: Collection, params: Params, query: Query | None = None
) -> JsonObject:
    """One page of a collection, newest first."""
    query = query or Query(collection.kind)
    for name in collection.filters:
        if (wanted := params.text(name)) is not None:
            query.where_equal(name, wanted)
    for name in collection.booleans:
        if params.has(name):
            query.where(f"json_extract(body, '$.{name}') = ?", int(params.boolean(name)))
    _narrow_by_time(query, params)
    limit = page_size(params)
    backwards = _move_to_cursor(account, query, params)
    found = account.store.select(query, limit=limit + 1, oldest_first=backwards)
    page = found[:limit]
    if backwards:
        page.reverse()
    return envelope(page, collection.url, has_more=len(found) > limit)


def envelope(data: list[JsonObject], url: str, *, has_more: bool = False) -> JsonObject:
    """The list object of Stripe's API."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def list_fixed(items: list[JsonObject], url: str, params: Params) -> JsonObject:
    """One page of a list that is in memory, in its order."""
    after, before = _cursors(params)
    limit = page_size(params)
    if before:
        earlier = items[: _index(items, before, "ending_before")]
        return envelope(earlier[-limit:], url, has_more=len(earlier) > limit)
    later = items[_index(items, after, "starting_after") + 1 :] if after else items
    return envelope(later[:limit], url, has_more=len(later) > limit)


def page_size(params: Params) -> int:
    """The `limit` parameter: 1 to 100, 10 by default."""
    limit = params.integer("limit")
    if limit is None:
        return 10
    if not 1 <= limit <= 100:
        raise invalid(
            "This value must be between 1 and 100 (inclusive).",
            param="limit",
            code="parameter_invalid_integer",
        )
    return limit


def _narrow_by_time(query: Query, params: Params) -> None:
    if not params.has("created"):
        return
    if not params.is_object("created"):
        query.where("created = ?", params.integer("created"))
        return
    bounds = params.child("created")
    for name, operator in _COMPARISONS.items():
        if (timestamp := bounds.integer(name)) is not None:
            query.where(f"created {operator} ?", timestamp)


def _move_to_cursor(account: Account, query: Query, params: Params) -> bool:
    """Start the query at the cursor. Returns True if it then runs towards newer objects."""
    after, before = _cursors(params)
    if after:
        query.where("seq < ?", _position(account, query.kind, after, "starting_after"))
    if before:
        query.where("seq > ?", _position(account, query.kind, before, "ending_before"))
    return before is not None


def _cursors(params: Params) -> tuple[str | None, str | None]:
    after, before = params.text("starting_after"), params.text("ending_before")
    if after and before:
        raise invalid(
            "You can't use both `starting_after` and `ending_before` in the same request."
        )
    return after, before


def _index(items: list[JsonObject], identifier: str, param: str) -> int:
    for index, item in enumerate(items):
        if item["id"] == identifier:
            return index
    raise resource_missing("item", identifier, param=param)


def _position(account: Account, kind: str, identifier: str, param: str) -> int:
    position = account.store.position(kind, identifier)
    if position is None:
        raise resource_missing(kind, identifier, param=param)
    return position
