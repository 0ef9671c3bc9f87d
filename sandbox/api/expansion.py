"""The `expand` parameter: replaces ids by the objects they refer to.

Stripe docs: https://docs.stripe.com/api/expanding_objects (four levels; `data.` for lists).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.account import Account
from sandbox.api.pagination import envelope
from sandbox.errors import invalid
from sandbox.json_types import JsonObject
from sandbox.store import Query

_MAX_DEPTH = 4

_REFERENCES: dict[str, frozenset[str]] = {
    "balance_transaction": frozenset({"source"}),
    "charge": frozenset({"balance_transaction", "customer", "payment_intent"}),
    "checkout.session": frozenset({"customer", "payment_intent"}),
    "discount": frozenset({"customer", "promotion_code"}),
    "dispute": frozenset({"charge", "payment_intent"}),
    "payment_intent": frozenset({"customer", "latest_charge", "payment_method"}),
    "payment_method": frozenset({"customer"}),
    "price": frozenset({"product"}),
    "product": frozenset({"default_price"}),
    "promotion_code": frozenset({"customer"}),
    "refund": frozenset({"balance_transaction", "charge", "payment_intent"}),
}


_USER_DATA = frozenset({"metadata", "shipping"})
"""Fields that hold the caller's own data: never expanded, even if they look like objects."""


def expand(account: Account, response: JsonObject, paths: Sequence[str]) -> JsonObject:
    """Expand `paths` in a response, in place. Raises a 400 if a path cannot be expanded."""
    for path in paths:
        names = path.split(".")
        depth = len(names) - (names[0] == "data")
        if depth > _MAX_DEPTH:
            raise invalid(
                f"You cannot expand more than {_MAX_DEPTH} levels of a property.", param="expand"
            )
        _expand_in(account, response, names)
    return response


def _expand_in(account: Account, value: Any, names: list[str]) -> None:
    if not names or value is None:
        return
    if isinstance(value, list):
        for each in value:
            _expand_in(account, each, names)
        return
    name, rest = names[0], names[1:]
    if not isinstance(value, dict) or name in _USER_DATA:
        raise _cannot_be_expanded(names)
    _include(account, value, name)
    if name not in value:
        raise _cannot_be_expanded(names)
    inner = value[name]
    if isinstance(inner, str):
        if name not in _REFERENCES.get(str(value.get("object")), ()) and not _is_coupon(
            value, name
        ):
            raise _cannot_be_expanded(names)
        value[name] = account.store.find(inner) or inner
    elif inner is not None and not isinstance(inner, dict | list):
        raise _cannot_be_expanded(names)
    _expand_in(account, value[name], rest)


def _is_coupon(value: JsonObject, name: str) -> bool:
    """Whether this is the coupon of a discount or promotion code, which lies in a nested object."""
    return name == "coupon" and value.get("type") == "coupon"


def _include(account: Account, obj: JsonObject, name: str) -> None:
    """Add a list that an object has only when it is expanded."""
    include = _INCLUDED.get((str(obj.get("object")), name))
    if include is not None and name not in obj:
        obj[name] = include(account, obj)


def _line_items(account: Account, session: JsonObject) -> JsonObject:
    items = account.store.get_private(session["id"])["line_items"]
    return envelope(items, f"/v1/checkout/sessions/{session['id']}/line_items")


def _refunds(account: Account, charge: JsonObject) -> JsonObject:
    query = Query("refund")
    query.where_equal("charge", charge["id"])
    return envelope(account.store.select(query), f"/v1/charges/{charge['id']}/refunds")


_INCLUDED: dict[tuple[str, str], Callable[[Account, JsonObject], JsonObject]] = {
    ("checkout.session", "line_items"): _line_items,
    ("charge", "refunds"): _refunds,
}


def _cannot_be_expanded(names: list[str]) -> Exception:
    return invalid(f"This property cannot be expanded ({'.'.join(names)[:100]}).", param="expand")
