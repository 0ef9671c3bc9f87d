"""API routes of shipping rates."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.flows import shipping_rates
from sandbox.json_types import JsonObject
from sandbox.store import Query

_RATES = Collection("shipping_rate", "/v1/shipping_rates", booleans=("active",))


def create_shipping_rate(request: ApiRequest) -> JsonObject:
    """POST /v1/shipping_rates."""
    return shipping_rates.create_shipping_rate(request.account, request.params)


def list_shipping_rates(request: ApiRequest) -> JsonObject:
    """GET /v1/shipping_rates, also by currency."""
    query = Query("shipping_rate")
    if currency := request.params.currency():
        query.where_equal("fixed_amount.currency", currency)
    return list_objects(request.account, _RATES, request.params, query)


def update_shipping_rate(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/shipping_rates/{}: `active`, metadata and tax behaviour."""
    params = request.params
    rate = request.account.store.get("shipping_rate", identifier)
    if params.has("active"):
        rate["active"] = params.boolean("active")
    if params.has("metadata"):
        rate["metadata"] = params.merged_metadata(rate["metadata"])
    if behavior := params.text("tax_behavior"):
        rate["tax_behavior"] = behavior
    return request.account.store.save(rate)


ROUTES = [
    post("/v1/shipping_rates", create_shipping_rate),
    get("/v1/shipping_rates", list_shipping_rates),
    get("/v1/shipping_rates/{}", lambda request, i: request.account.store.get("shipping_rate", i)),
    post("/v1/shipping_rates/{}", update_shipping_rate),
]
