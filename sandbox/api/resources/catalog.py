"""API routes of products, prices, coupons and customers."""

from __future__ import annotations

import re

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, delete, get, post
from sandbox.api.shared_params import address_param, shipping_param
from sandbox.errors import exclusive, invalid, not_supported
from sandbox.flows import catalog, discounts, saved_methods
from sandbox.flows.payment_methods import resolve_payment_method
from sandbox.json_types import JsonObject
from sandbox.objects.customers import customer
from sandbox.params import Params
from sandbox.store import Query
from sandbox.webhooks.events import emit

_CUSTOMER_TEXTS = ("business_name", "description", "email", "individual_name", "name", "phone")

_PRODUCTS = Collection(
    "product", "/v1/products", filters=("type", "url"), booleans=("active", "shippable")
)
_PRICES = Collection(
    "price", "/v1/prices", filters=("product", "currency", "type"), booleans=("active",)
)
_COUPONS = Collection("coupon", "/v1/coupons")
_CUSTOMERS = Collection("customer", "/v1/customers", filters=("email",))


def create_product(request: ApiRequest) -> JsonObject:
    """POST /v1/products."""
    return catalog.create_product(request.account, request.params)


def list_products(request: ApiRequest) -> JsonObject:
    """GET /v1/products, also by ids."""
    query = Query("product")
    if ids := request.params.texts("ids"):
        query.where_in("id", ids)
    return list_objects(request.account, _PRODUCTS, request.params, query)


def update_product(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/products/{}."""
    params = request.params
    changed = catalog.product_details(params)
    if params.has("name"):
        changed["name"] = params.required("name")
    if price := params.text("default_price"):
        owner = request.account.store.get("price", price, param="default_price")["product"]
        if owner != identifier:
            raise invalid(
                f"The price {price} does not belong to the product {identifier}.",
                param="default_price",
            )
        changed["default_price"] = price
    return _update(request, "product", identifier, changed)


def create_price(request: ApiRequest) -> JsonObject:
    """POST /v1/prices."""
    params = request.params
    if (params.text("billing_scheme") or "per_unit") != "per_unit":
        raise not_supported("tiered prices", param="billing_scheme")
    product = params.text("product")
    if product and params.is_object("product_data"):
        raise exclusive("product", "product_data")
    if params.is_object("product_data"):
        product = catalog.create_product(request.account, params.child("product_data"))["id"]
    product = product or params.required("product")
    active = params.boolean("active", default=True)
    made = catalog.create_price(request.account, params, product)
    if not active:
        made["active"] = False
        request.account.store.save(made)
    return made


def list_prices(request: ApiRequest) -> JsonObject:
    """GET /v1/prices, also by lookup keys and by recurrence."""
    query = Query("price")
    if keys := request.params.texts("lookup_keys"):
        query.where_in("lookup_key", keys)
    recurring = request.params.child("recurring")
    for name in ("interval", "meter", "usage_type"):
        if wanted := recurring.text(name):
            query.where_equal(f"recurring.{name}", wanted)
    return list_objects(request.account, _PRICES, request.params, query)


def update_price(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/prices/{}."""
    params = request.params
    price = request.account.store.get("price", identifier)
    changed: JsonObject = _sent_texts(params, ("nickname",))
    if behavior := params.text("tax_behavior"):
        if price["tax_behavior"] not in ("unspecified", behavior):
            raise invalid(
                "The tax_behavior of a price cannot be changed once it is set.",
                param="tax_behavior",
            )
        changed["tax_behavior"] = behavior
    if params.has("lookup_key") and params.text("lookup_key") != price["lookup_key"]:
        changed["lookup_key"] = catalog.lookup_key(request.account, params)
    params.boolean("transfer_lookup_key")
    return _update(request, "price", identifier, changed)


def create_coupon(request: ApiRequest) -> JsonObject:
    """POST /v1/coupons."""
    return catalog.create_coupon(request.account, request.params)


def update_coupon(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/coupons/{}: name and metadata."""
    return _update(request, "coupon", identifier, _sent_texts(request.params, ("name",)))


def create_customer(request: ApiRequest) -> JsonObject:
    """POST /v1/customers."""
    coupon = _legacy_coupon(request)
    details = {
        name: value
        for name, value in _customer_details(request.params).items()
        if value is not None
    }
    made = customer(
        created=request.account.clock.timestamp(), metadata=request.params.metadata(), **details
    )
    request.account.store.add(made)
    emit(request.account, "customer.created", made)
    if coupon:
        discounts.set_customer_discount(request.account, made, coupon)
    if method := request.params.text("payment_method"):
        resolved = resolve_payment_method(request.account, method)
        saved_methods.attach(request.account, resolved, made["id"])
    if source := request.params.text("source"):
        saved_methods.add_source(request.account, made, source)
    return made


def _customer_details(params: Params) -> JsonObject:
    """The fields of a customer that a request creates or changes, with None for unset ones."""
    params.email("email")
    details = _sent_texts(params, _CUSTOMER_TEXTS)
    if params.has("address"):
        details["address"] = address_param(params, "address")
    if params.has("shipping"):
        details["shipping"] = shipping_param(params)
    for name in ("balance", "next_invoice_sequence"):
        if params.has(name):
            details[name] = params.integer(name)
    if params.has("preferred_locales"):
        details["preferred_locales"] = params.texts("preferred_locales")
    if params.has("tax_exempt"):
        details["tax_exempt"] = params.text("tax_exempt") or "none"
    if prefix := params.text("invoice_prefix"):
        if not re.fullmatch(r"[A-Z0-9]{3,12}", prefix, re.ASCII):
            raise invalid(
                "The invoice prefix must be 3 to 12 uppercase letters or numbers.",
                param="invoice_prefix",
            )
        details["invoice_prefix"] = prefix
    if params.has("invoice_settings"):
        details["invoice_settings"] = _invoice_settings(params.child("invoice_settings"))
    return details


def _invoice_settings(params: Params) -> JsonObject:
    fields = [each.each_text(("name", "value")) for each in params.children("custom_fields")]
    rendering = params.child("rendering_options")
    options = rendering.each_text(("amount_tax_display", "template"))
    return {
        "custom_fields": fields or None,
        "default_payment_method": None,
        "footer": params.text("footer"),
        "rendering_options": options if any(options.values()) else None,
    }


def retrieve_customer(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/customers/{}. A deleted customer can still be retrieved."""
    if request.account.store.get_private(identifier).get("deleted"):
        return _deleted("customer", identifier)
    return request.account.store.get("customer", identifier)


def update_customer(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/customers/{}: contact details, invoice settings and metadata."""
    coupon = _legacy_coupon(request)
    updated = _update(request, "customer", identifier, _customer_details(request.params))
    if coupon:
        discounts.set_customer_discount(request.account, updated, coupon)
    elif coupon == "":
        discounts.remove_customer_discount(request.account, updated)
    return updated


def delete_product(request: ApiRequest, identifier: str) -> JsonObject:
    """DELETE /v1/products/{}, if it has no prices."""
    request.account.store.get("product", identifier)
    prices = Query("price")
    prices.where_equal("product", identifier)
    if request.account.store.select(prices, limit=1):
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    return _delete(request, "product", identifier)


def delete_coupon(request: ApiRequest, identifier: str) -> JsonObject:
    """DELETE /v1/coupons/{}: existing discounts stay, new ones are no longer possible."""
    return _delete(request, "coupon", identifier)


def delete_customer(request: ApiRequest, identifier: str) -> JsonObject:
    """DELETE /v1/customers/{}."""
    deleted = _delete(request, "customer", identifier)
    request.account.store.set_private(identifier, {"deleted": True})
    return deleted


def _legacy_coupon(request: ApiRequest) -> str | None:
    """The `coupon` of a customer, which the API has had until 2025-03-31."""
    if not request.params.has("coupon"):
        return None
    return request.params.text("coupon") or ""


def _delete(request: ApiRequest, kind: str, identifier: str) -> JsonObject:
    obj = request.account.store.get(kind, identifier)
    request.account.store.remove(identifier)
    emit(request.account, f"{kind}.deleted", obj)
    return _deleted(kind, identifier)


def _deleted(kind: str, identifier: str) -> JsonObject:
    return {"id": identifier, "object": kind, "deleted": True}


def _sent_texts(params: Params, names: tuple[str, ...]) -> JsonObject:
    return {name: params.text(name) for name in names if params.has(name)}


def _update(request: ApiRequest, kind: str, identifier: str, changed: JsonObject) -> JsonObject:
    obj = request.account.store.get(kind, identifier)
    if request.params.has("active"):
        changed["active"] = request.params.boolean("active")
    if request.params.has("metadata"):
        changed["metadata"] = request.params.merged_metadata(obj["metadata"])
    previous = {name: obj.get(name) for name, value in changed.items() if obj.get(name) != value}
    obj.update(changed)
    request.account.store.save(obj)
    if previous:
        emit(request.account, f"{kind}.updated", obj, previous)
    return obj


ROUTES = [
    post("/v1/products", create_product),
    get("/v1/products", list_products),
    get("/v1/products/{}", lambda request, i: request.account.store.get("product", i)),
    post("/v1/products/{}", update_product),
    delete("/v1/products/{}", delete_product),
    post("/v1/prices", create_price),
    get("/v1/prices", list_prices),
    get("/v1/prices/{}", lambda request, i: request.account.store.get("price", i)),
    post("/v1/prices/{}", update_price),
    post("/v1/coupons", create_coupon),
    get("/v1/coupons", lambda request: list_objects(request.account, _COUPONS, request.params)),
    get("/v1/coupons/{}", lambda request, i: request.account.store.get("coupon", i)),
    post("/v1/coupons/{}", update_coupon),
    delete("/v1/coupons/{}", delete_coupon),
    post("/v1/customers", create_customer),
    get("/v1/customers", lambda request: list_objects(request.account, _CUSTOMERS, request.params)),
    get("/v1/customers/{}", retrieve_customer),
    post("/v1/customers/{}", update_customer),
    delete("/v1/customers/{}", delete_customer),
]
