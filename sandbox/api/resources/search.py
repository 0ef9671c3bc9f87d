"""API routes that search for objects. They find an object at once; Stripe takes up to a minute.

Stripe docs: https://docs.stripe.com/search
"""

from __future__ import annotations

from sandbox.api.pagination import page_size
from sandbox.api.routing import ApiRequest, Route, get
from sandbox.api.search_query import SearchFields, add_search
from sandbox.errors import resource_missing
from sandbox.json_types import JsonObject
from sandbox.store import Query

_SEARCHES = {
    "charge": SearchFields(
        "charges",
        frozenset(
            {
                "billing_details.address.postal_code", "currency", "customer",
                "payment_method_details.card.brand", "payment_method_details.card.fingerprint",
                "payment_method_details.card.last4", "status",
            }
        ),
        frozenset(
            {
                "amount", "created", "payment_method_details.card.exp_month",
                "payment_method_details.card.exp_year",
            }
        ),
        frozenset({"disputed", "refunded"}),
    ),
    "customer": SearchFields(
        "customers", frozenset({"email", "name", "phone"}), frozenset({"created"})
    ),
    "payment_intent": SearchFields(
        "payment_intents",
        frozenset({"currency", "customer", "status"}),
        frozenset({"amount", "created"}),
    ),
    "price": SearchFields(
        "prices",
        frozenset({"currency", "lookup_key", "product", "type"}),
        booleans=frozenset({"active"}),
    ),
    "product": SearchFields(
        "products",
        frozenset({"description", "name", "url"}),
        booleans=frozenset({"active", "shippable"}),
    ),
}  # fmt: skip


def _search(request: ApiRequest, kind: str, fields: SearchFields) -> JsonObject:
    """One page of the objects that a query finds, newest first."""
    query = Query(kind)
    add_search(query, request.params.required("query"), fields)
    total = len(request.account.store.select(query)) if "total_count" in request.expand else None
    if page := request.params.text("page"):
        query.where("seq < ?", _position(request, kind, page))
    limit = page_size(request.params)
    found = request.account.store.select(query, limit=limit + 1)
    more = len(found) > limit
    return {
        "object": "search_result",
        "data": found[:limit],
        "has_more": more,
        "next_page": found[limit - 1]["id"] if more else None,
        "url": f"/v1/{fields.resource}/search",
        **({} if total is None else {"total_count": total}),
    }


def _position(request: ApiRequest, kind: str, page: str) -> int:
    """The place of the previous page's last object; a page is named by it."""
    position = request.account.store.position(kind, page)
    if position is None:
        raise resource_missing(kind, page, param="page")
    return position


def _route(kind: str, fields: SearchFields) -> Route:
    return get(f"/v1/{fields.resource}/search", lambda request: _search(request, kind, fields))


ROUTES = [_route(kind, fields) for kind, fields in _SEARCHES.items()]
