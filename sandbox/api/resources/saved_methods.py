"""API routes of payment methods and cards that are saved to a customer."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_fixed, list_objects
from sandbox.api.routing import ApiRequest, delete, get, post
from sandbox.errors import invalid, not_supported, resource_missing
from sandbox.flows import saved_methods
from sandbox.flows.payment_methods import resolve_payment_method
from sandbox.json_types import JsonObject
from sandbox.objects.customers import ADDRESS_FIELDS
from sandbox.params import Params
from sandbox.store import Query
from sandbox.webhooks.events import emit

_CARD_FIELDS = (
    "address_city", "address_country", "address_line1", "address_line2", "address_state",
    "address_zip", "name",
)  # fmt: skip
_REDISPLAY = ("always", "limited", "unspecified")


def attach_payment_method(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_methods/{}/attach."""
    customer = request.account.store.get(
        "customer", request.params.required("customer"), param="customer"
    )
    method = resolve_payment_method(request.account, identifier)
    return saved_methods.attach(request.account, method, customer["id"])


def detach_payment_method(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_methods/{}/detach."""
    method = request.account.store.get("payment_method", identifier)
    return saved_methods.detach(request.account, method)


def update_payment_method(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_methods/{}, once it is saved to a customer."""
    params = request.params
    method = request.account.store.get("payment_method", identifier)
    if method["customer"] is None:
        raise invalid(
            "You must save this PaymentMethod to a customer before you can update it.",
            code="payment_method_unexpected_state",
        )
    changed = _changes(params, method)
    previous = {name: method[name] for name, value in changed.items() if method[name] != value}
    updated = request.account.store.save(method | changed)
    if previous:
        emit(request.account, "payment_method.updated", updated, previous)
    return updated


def list_customer_methods(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/customers/{}/payment_methods."""
    request.account.store.get("customer", identifier)
    query = Query("payment_method")
    query.where_equal("customer", identifier)
    url = f"/v1/customers/{identifier}/payment_methods"
    collection = Collection("payment_method", url, filters=("type", "allow_redisplay"))
    return list_objects(request.account, collection, request.params, query)


def retrieve_customer_method(request: ApiRequest, customer: str, identifier: str) -> JsonObject:
    """GET /v1/customers/{}/payment_methods/{}."""
    method = request.account.store.get("payment_method", identifier)
    if method["customer"] != customer:
        raise resource_missing("payment_method", identifier)
    return method


def create_source(request: ApiRequest, customer: str) -> JsonObject:
    """POST /v1/customers/{}/sources: a card by its token."""
    params = request.params
    if params.is_object("source"):
        raise not_supported("card numbers as sources; use a token", param="source")
    if params.has("validate"):
        raise not_supported("`validate` of sources", param="validate")
    owner = request.account.store.get("customer", customer)
    made = saved_methods.add_source(request.account, owner, params.required("source"))
    made["metadata"] = params.metadata()
    return request.account.store.save(made)


def list_sources(request: ApiRequest, customer: str) -> JsonObject:
    """GET /v1/customers/{}/sources."""
    request.account.store.get("customer", customer)
    if request.params.text("object") not in {None, "card"}:
        raise not_supported("sources other than cards", param="object")
    sources = saved_methods.sources_of(request.account, customer)
    return list_fixed(
        sources, f"/v1/customers/{customer}/sources", request.params.without("object")
    )


def retrieve_source(request: ApiRequest, customer: str, identifier: str) -> JsonObject:
    """GET /v1/customers/{}/sources/{}."""
    source = request.account.store.find(identifier)
    if source is None or source["object"] != "card" or source["customer"] != customer:
        raise resource_missing("source", identifier)
    return source


def update_source(request: ApiRequest, customer: str, identifier: str) -> JsonObject:
    """POST /v1/customers/{}/sources/{}: name, address, expiry date and metadata."""
    params = request.params
    source = retrieve_source(request, customer, identifier)
    changed: JsonObject = {name: params.text(name) for name in _CARD_FIELDS if params.has(name)}
    changed |= _expiry(params)
    if params.has("metadata"):
        changed["metadata"] = params.merged_metadata(source["metadata"])
    previous = {name: source[name] for name, value in changed.items() if source[name] != value}
    updated = request.account.store.save(source | changed)
    if previous:
        emit(request.account, "customer.source.updated", updated, previous)
    return updated


def delete_source(request: ApiRequest, customer: str, identifier: str) -> JsonObject:
    """DELETE /v1/customers/{}/sources/{}."""
    source = retrieve_source(request, customer, identifier)
    owner = request.account.store.get("customer", customer)
    saved_methods.remove_source(request.account, owner, source)
    return {"id": identifier, "object": "card", "deleted": True}


def _changes(params: Params, method: JsonObject) -> JsonObject:
    changed: JsonObject = {}
    if params.has("allow_redisplay"):
        changed["allow_redisplay"] = params.one_of("allow_redisplay", _REDISPLAY, default="")
    if params.has("metadata"):
        changed["metadata"] = params.merged_metadata(method["metadata"])
    if params.is_object("billing_details"):
        changed["billing_details"] = _billing(params.child("billing_details"), method)
    if params.is_object("card"):
        card = params.child("card")
        if method["type"] != "card":
            raise invalid("This PaymentMethod is not a card.", param="card")
        changed["card"] = method["card"] | _expiry(card)
    return changed


def _billing(asked: Params, method: JsonObject) -> JsonObject:
    details: JsonObject = dict(method["billing_details"])
    for name in ("email", "name", "phone"):
        if asked.has(name):
            details[name] = asked.text(name)
    if asked.is_object("address"):
        given = asked.child("address")
        new = {name: given.text(name) for name in ADDRESS_FIELDS if given.has(name)}
        details["address"] = details["address"] | new
    return details


def _expiry(params: Params) -> JsonObject:
    changed: JsonObject = {}
    for name, most in (("exp_month", 12), ("exp_year", 9999)):
        number = params.positive(name)
        if number is not None:
            if number > most:
                raise invalid(f"Your card's {name} is invalid.", param=params.name_of(name))
            changed[name] = number
    return changed


ROUTES = [
    post("/v1/payment_methods/{}/attach", attach_payment_method),
    post("/v1/payment_methods/{}/detach", detach_payment_method),
    post("/v1/payment_methods/{}", update_payment_method),
    get("/v1/customers/{}/payment_methods", list_customer_methods),
    get("/v1/customers/{}/payment_methods/{}", retrieve_customer_method),
    post("/v1/customers/{}/sources", create_source),
    get("/v1/customers/{}/sources", list_sources),
    get("/v1/customers/{}/sources/{}", retrieve_source),
    post("/v1/customers/{}/sources/{}", update_source),
    delete("/v1/customers/{}/sources/{}", delete_source),
]
