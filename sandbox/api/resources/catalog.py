"""API routes of products, prices, coupons and customers."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.errors import not_supported
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


def create_customer(request: ApiRequest) -> JsonObject:
    """POST /v1/customers."""
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
    return made


def update_customer(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/customers/{}: contact details and metadata."""
    request.params.allow_only({"email", "name", "phone", "description", "metadata"})
    return _update(request, "customer", identifier, ("email", "name", "phone", "description"))


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
    post("/v1/prices", create_price),
    get("/v1/prices", lambda request: list_objects(request.account, _PRICES, request.params)),
    get("/v1/prices/{}", lambda request, i: request.account.store.get("price", i)),
    post("/v1/prices/{}", update_price),
    post("/v1/coupons", create_coupon),
    get("/v1/coupons", lambda request: list_objects(request.account, _COUPONS, request.params)),
    get("/v1/coupons/{}", lambda request, i: request.account.store.get("coupon", i)),
    post("/v1/customers", create_customer),
    get("/v1/customers", lambda request: list_objects(request.account, _CUSTOMERS, request.params)),
    get("/v1/customers/{}", lambda request, i: request.account.store.get("customer", i)),
    post("/v1/customers/{}", update_customer),
]
