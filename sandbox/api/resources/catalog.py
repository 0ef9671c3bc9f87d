"""Decides what products, prices, coupons and customers answer."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import Call, get, post
from sandbox.errors import not_covered
from sandbox.flows import catalog
from sandbox.json_types import JsonObject
from sandbox.objects.customers import ADDRESS_FIELDS, customer
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
    {"email", "name", "phone", "description", "address", "metadata", "source", "payment_method"}
)

_PRODUCTS = Collection("product", "/v1/products", more=frozenset({"active"}))
_PRICES = Collection(
    "price",
    "/v1/prices",
    filters=("product", "currency", "type", "lookup_key"),
    more=frozenset({"active"}),
)
_COUPONS = Collection("coupon", "/v1/coupons")
_CUSTOMERS = Collection("customer", "/v1/customers", filters=("email",))


def create_product(call: Call) -> JsonObject:
    """POST /v1/products."""
    call.params.allow_only(_PRODUCT_PARAMS)
    return catalog.create_product(call.account, call.params)


def update_product(call: Call, identifier: str) -> JsonObject:
    """POST /v1/products/{}: its texts, activity and metadata."""
    call.params.allow_only({"name", "active", "description", "metadata", "tax_code", "url"})
    return _update(call, "product", identifier, ("name", "description", "tax_code", "url"))


def create_price(call: Call) -> JsonObject:
    """POST /v1/prices."""
    call.params.allow_only(_PRICE_PARAMS)
    call.params.one_of("billing_scheme", ["per_unit"], default="per_unit")
    product = call.params.text("product")
    if product is None and call.params.mapping("product_data"):
        product = catalog.create_product(call.account, call.params.child("product_data"))["id"]
    product = product or call.params.required("product")
    return catalog.create_price(call.account, call.params, product)


def update_price(call: Call, identifier: str) -> JsonObject:
    """POST /v1/prices/{}: nickname, activity and metadata."""
    call.params.allow_only({"active", "nickname", "metadata", "lookup_key"})
    return _update(call, "price", identifier, ("nickname", "lookup_key"))


def create_coupon(call: Call) -> JsonObject:
    """POST /v1/coupons."""
    call.params.allow_only(_COUPON_PARAMS)
    return catalog.create_coupon(call.account, call.params)


def create_customer(call: Call) -> JsonObject:
    """POST /v1/customers."""
    call.params.allow_only(_CUSTOMER_PARAMS)
    for name in ("source", "payment_method"):
        if call.params.has(name):
            raise not_covered("saved payment methods", param=name)
    given = call.params.child("address").each_text(ADDRESS_FIELDS)
    made = customer(
        created=call.account.clock.timestamp(),
        address=given if any(given.values()) else None,
        metadata=call.params.metadata(),
        **call.params.each_text(("email", "name", "phone", "description")),
    )
    call.account.store.add(made)
    emit(call.account, "customer.created", made)
    return made


def update_customer(call: Call, identifier: str) -> JsonObject:
    """POST /v1/customers/{}: contact details and metadata."""
    call.params.allow_only({"email", "name", "phone", "description", "metadata"})
    return _update(call, "customer", identifier, ("email", "name", "phone", "description"))


def _update(call: Call, kind: str, identifier: str, texts: tuple[str, ...]) -> JsonObject:
    obj = call.account.store.get(kind, identifier)
    changed: JsonObject = {name: call.params.text(name) for name in texts if call.params.has(name)}
    if call.params.has("active"):
        changed["active"] = call.params.boolean("active")
    if call.params.has("metadata"):
        changed["metadata"] = call.params.merged_metadata(obj["metadata"])
    previous = {name: obj[name] for name, value in changed.items() if obj[name] != value}
    obj.update(changed)
    call.account.store.save(obj)
    if previous:
        emit(call.account, f"{kind}.updated", obj, previous)
    return obj


ROUTES = [
    post("/v1/products", create_product),
    get("/v1/products", lambda call: list_objects(call.account, _PRODUCTS, call.params)),
    get("/v1/products/{}", lambda call, i: call.account.store.get("product", i)),
    post("/v1/products/{}", update_product),
    post("/v1/prices", create_price),
    get("/v1/prices", lambda call: list_objects(call.account, _PRICES, call.params)),
    get("/v1/prices/{}", lambda call, i: call.account.store.get("price", i)),
    post("/v1/prices/{}", update_price),
    post("/v1/coupons", create_coupon),
    get("/v1/coupons", lambda call: list_objects(call.account, _COUPONS, call.params)),
    get("/v1/coupons/{}", lambda call, i: call.account.store.get("coupon", i)),
    post("/v1/customers", create_customer),
    get("/v1/customers", lambda call: list_objects(call.account, _CUSTOMERS, call.params)),
    get("/v1/customers/{}", lambda call, i: call.account.store.get("customer", i)),
    post("/v1/customers/{}", update_customer),
]
