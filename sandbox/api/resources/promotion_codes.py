"""API routes of promotion codes, and of a customer's discount."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, delete, get, post
from sandbox.errors import invalid
from sandbox.flows import discounts
from sandbox.json_types import JsonObject
from sandbox.store import Query
from sandbox.webhooks.events import emit

_CODES = Collection(
    "promotion_code",
    "/v1/promotion_codes",
    filters=("code", "customer"),
    booleans=("active",),
)


def create_promotion_code(request: ApiRequest) -> JsonObject:
    """POST /v1/promotion_codes."""
    return discounts.create_promotion_code(request.account, request.params, _coupon(request))


def list_promotion_codes(request: ApiRequest) -> JsonObject:
    """GET /v1/promotion_codes, also by code, coupon and customer."""
    query = Query("promotion_code")
    if coupon := request.params.text("coupon"):
        query.where("json_extract(body, '$.promotion.coupon') = ?", coupon)
    return list_objects(request.account, _CODES, request.params, query)


def update_promotion_code(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/promotion_codes/{}: `active` and metadata."""
    params = request.params
    code = request.account.store.get("promotion_code", identifier)
    changed: JsonObject = {}
    if params.has("active"):
        changed["active"] = params.boolean("active")
        if changed["active"] and not code["active"]:
            _refuse_duplicate(request, code)
    if params.has("metadata"):
        changed["metadata"] = params.merged_metadata(code["metadata"])
    previous = {name: code[name] for name, value in changed.items() if code[name] != value}
    request.account.store.save(code | changed)
    if previous:
        emit(request.account, "promotion_code.updated", code | changed, previous)
    return code | changed


def delete_customer_discount(request: ApiRequest, identifier: str) -> JsonObject:
    """DELETE /v1/customers/{}/discount."""
    customer = request.account.store.get("customer", identifier)
    removed = discounts.remove_customer_discount(request.account, customer)
    if removed is None:
        raise invalid(f"No active discount for customer: {identifier}")
    return removed


def _coupon(request: ApiRequest) -> str:
    """The coupon's id, in `promotion` or, before it moved there, in `coupon`."""
    params = request.params
    if params.has("coupon"):
        return params.required("coupon")
    params.required_object("promotion")
    promotion = params.child("promotion")
    promotion.one_of("type", ["coupon"], default="coupon")
    return promotion.required("coupon")


def _refuse_duplicate(request: ApiRequest, code: JsonObject) -> None:
    if discounts.find_active_code(request.account, code["code"]) is not None:
        raise invalid("An active promotion code with this code already exists.", param="active")


ROUTES = [
    post("/v1/promotion_codes", create_promotion_code),
    get("/v1/promotion_codes", list_promotion_codes),
    get(
        "/v1/promotion_codes/{}", lambda request, i: request.account.store.get("promotion_code", i)
    ),
    post("/v1/promotion_codes/{}", update_promotion_code),
    delete("/v1/customers/{}/discount", delete_customer_discount),
]
