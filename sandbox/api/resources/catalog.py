"""API routes of products, prices, coupons and customers."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, delete, get, post
from sandbox.errors import invalid, not_supported, parameter_unknown
from sandbox.flows import catalog, discounts
from sandbox.json_types import JsonObject
from sandbox.objects.customers import ADDRESS_FIELDS, customer
from sandbox.store import Query
from sandbox.webhooks.events import emit

_PRODUCT_PARAMS = frozenset(
    {"id", "name", "active", "description", "images", "metadata", "tax_code", "url"}
)
_PRICE_PARAMS = frozenset(
    {
        "product", "product_data", "currency", "unit_amount", "unit_amount_decimal", "active",
        "lookup_key", "metadata", "nickname", "recurring", "tax_behavior", "billing_scheme",
    }
)  # fmt: skip
_COUPON_PARAMS = frozenset(
    {"id", "percent_off", "amount_off", "currency", "duration", "metadata", "name"}
)
_CUSTOMER_PARAMS = frozenset(
    {
        "email",
        "name",
        "phone",
        "description",
        "address",
        "metadata",
        "source",
        "payment_method",
        "coupon",
    }
)
_COUPON_REMOVED_IN = "2025-03-31"

_PRODUCTS = Collection("product", "/v1/products", more=frozenset({"active"}))
_PRICES = Collection(
    "price",
    "/v1/prices",
    filters=("product", "currency", "type", "lookup_key"),
    more=frozenset({"active"}),
)
_COUPONS = Collection("coupon", "/v1/coupons")
_CUSTOMERS = Collection("customer", "/v1/customers", filters=("email",))


def create_product(request: ApiRequest) -> JsonObject:
    """POST /v1/products."""
    request.params.allow_only(_PRODUCT_PARAMS)
    return catalog.create_product(request.account, request.params)


def update_product(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/products/{}: name, description, URL, `active` and metadata."""
    request.params.allow_only({"name", "active", "description", "metadata", "tax_code", "url"})
    return _update(request, "product", identifier, ("name", "description", "tax_code", "url"))


def create_price(request: ApiRequest) -> JsonObject:
    """POST /v1/prices."""
    request.params.allow_only(_PRICE_PARAMS)
    request.params.one_of("billing_scheme", ["per_unit"], default="per_unit")
    product = request.params.text("product")
    if product is None and request.params.mapping("product_data"):
        product = catalog.create_product(request.account, request.params.child("product_data"))[
            "id"
        ]
    product = product or request.params.required("product")
    return catalog.create_price(request.account, request.params, product)


def update_price(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/prices/{}: nickname, `active` and metadata."""
    request.params.allow_only({"active", "nickname", "metadata", "lookup_key"})
    return _update(request, "price", identifier, ("nickname", "lookup_key"))


def create_coupon(request: ApiRequest) -> JsonObject:
    """POST /v1/coupons."""
    request.params.allow_only(_COUPON_PARAMS)
    return catalog.create_coupon(request.account, request.params)


def update_coupon(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/coupons/{}: name and metadata."""
    if request.params.has("currency_options"):
        raise not_supported("coupons in several currencies", param="currency_options")
    request.params.allow_only({"name", "metadata"})
    return _update(request, "coupon", identifier, ("name",))


def create_customer(request: ApiRequest) -> JsonObject:
    """POST /v1/customers."""
    coupon = _legacy_coupon(request)
    request.params.allow_only(_CUSTOMER_PARAMS)
    for name in ("source", "payment_method"):
        if request.params.has(name):
            raise not_supported("saved payment methods", param=name)
    given = request.params.child("address").each_text(ADDRESS_FIELDS)
    made = customer(
        created=request.account.clock.timestamp(),
        address=given if any(given.values()) else None,
        metadata=request.params.metadata(),
        **request.params.each_text(("email", "name", "phone", "description")),
    )
    request.account.store.add(made)
    emit(request.account, "customer.created", made)
    if coupon:
        discounts.set_customer_discount(request.account, made, coupon)
    return made


def retrieve_customer(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/customers/{}. A deleted customer can still be retrieved."""
    if request.account.store.get_private(identifier).get("deleted"):
        return _deleted("customer", identifier)
    return request.account.store.get("customer", identifier)


def update_customer(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/customers/{}: contact details and metadata."""
    coupon = _legacy_coupon(request)
    request.params.allow_only({"coupon", "email", "name", "phone", "description", "metadata"})
    updated = _update(request, "customer", identifier, ("email", "name", "phone", "description"))
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
    if request.version >= _COUPON_REMOVED_IN:
        raise parameter_unknown("coupon")
    return request.params.text("coupon") or ""


def _delete(request: ApiRequest, kind: str, identifier: str) -> JsonObject:
    request.params.allow_only(())
    obj = request.account.store.get(kind, identifier)
    request.account.store.remove(identifier)
    emit(request.account, f"{kind}.deleted", obj)
    return _deleted(kind, identifier)


def _deleted(kind: str, identifier: str) -> JsonObject:
    return {"id": identifier, "object": kind, "deleted": True}


def _update(request: ApiRequest, kind: str, identifier: str, texts: tuple[str, ...]) -> JsonObject:
    obj = request.account.store.get(kind, identifier)
    changed: JsonObject = {
        name: request.params.text(name) for name in texts if request.params.has(name)
    }
    if request.params.has("active"):
        changed["active"] = request.params.boolean("active")
    if request.params.has("metadata"):
        changed["metadata"] = request.params.merged_metadata(obj["metadata"])
    previous = {name: obj[name] for name, value in changed.items() if obj[name] != value}
    obj.update(changed)
    request.account.store.save(obj)
    if previous:
        emit(request.account, f"{kind}.updated", obj, previous)
    return obj


ROUTES = [
    post("/v1/products", create_product),
    get("/v1/products", lambda request: list_objects(request.account, _PRODUCTS, request.params)),
    get("/v1/products/{}", lambda request, i: request.account.store.get("product", i)),
    post("/v1/products/{}", update_product),
    delete("/v1/products/{}", delete_product),
    post("/v1/prices", create_price),
    get("/v1/prices", lambda request: list_objects(request.account, _PRICES, request.params)),
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
