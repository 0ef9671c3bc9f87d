"""Flows of products, prices, coupons, promotion codes and searches."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.conformance.client import Client

PRICE = "price_sandbox_premium"
PRODUCT = "prod_conformance"


def create_catalog(client: Client) -> None:
    """The product that the other flows refer to."""
    client.post("/v1/products", id=PRODUCT, name="Course")


def products(client: Client) -> None:
    """Create, update, list, search and delete products."""
    made = client.post(
        "/v1/products",
        name="Book",
        description="A book",
        metadata={"a": "b"},
        images=["http://127.0.0.1:9/x.png"],
        tax_code="txcd_10000000",
        url="http://127.0.0.1:9/",
        statement_descriptor="BOOK",
        unit_label="copy",
        shippable=True,
        marketing_features=[{"name": "Hardcover"}],
        package_dimensions={"height": 1, "length": 2, "weight": 3, "width": 4},
    )
    path = f"/v1/products/{made['id']}"
    client.get(path)
    client.post(path, name="Books", active=False)
    client.post(path, active=True)
    client.get("/v1/products", limit=2, active=True)
    client.get("/v1/products/search", query="name:'Books'")
    client.post(
        "/v1/products",
        name="Quick",
        default_price_data={"currency": "usd", "unit_amount": 900},
        expand=["default_price"],
    )
    client.delete(f"/v1/products/{client.post('/v1/products', name='Gone')['id']}")


def prices(client: Client) -> None:
    """Create prices of each kind, update, list and search them."""
    made = client.post(
        "/v1/prices",
        product=PRODUCT,
        currency="usd",
        unit_amount=1500,
        lookup_key="course",
        nickname="One",
        metadata={"a": "b"},
        tax_behavior="exclusive",
    )
    decimal = client.post("/v1/prices", product=PRODUCT, currency="eur", unit_amount_decimal="700")
    client.post("/v1/prices", product_data={"name": "Inline"}, currency="jpy", unit_amount=900)
    client.post(
        "/v1/prices",
        product=PRODUCT,
        currency="usd",
        unit_amount=900,
        recurring={"interval": "month"},
    )
    client.get(f"/v1/prices/{made['id']}", expand=["product"])
    client.post(f"/v1/prices/{decimal['id']}", nickname="Euro", active=False)
    client.get("/v1/prices", product=PRODUCT, expand=["data.product"])
    client.get("/v1/prices", lookup_keys=["course"])
    client.get("/v1/prices/search", query="active:'true' AND currency:'usd'")


def coupons(client: Client) -> None:
    """Coupons of each kind, renamed and deleted."""
    for params in (
        {"percent_off": 25, "duration": "once"},
        {"amount_off": 300, "currency": "usd", "duration": "once", "name": "Three"},
        {"percent_off": "12.5", "duration": "forever"},
        {"percent_off": 10, "duration": "repeating", "duration_in_months": 3},
    ):
        made = client.post("/v1/coupons", **params)
        client.get(f"/v1/coupons/{made['id']}")
    client.get("/v1/coupons")
    client.post(f"/v1/coupons/{made['id']}", name="Ten", metadata={"a": "b"})
    client.delete(f"/v1/coupons/{made['id']}")


def promotion_codes(client: Client) -> None:
    """Codes created, found, restricted and deactivated."""
    coupon = client.post("/v1/coupons", percent_off=20, duration="once")
    promotion = {"type": "coupon", "coupon": coupon["id"]}
    made = client.post(
        "/v1/promotion_codes", promotion=promotion, code="TWENTY", metadata={"a": "b"}
    )
    client.post(
        "/v1/promotion_codes",
        promotion=promotion,
        max_redemptions=2,
        restrictions={"minimum_amount": 1000, "minimum_amount_currency": "usd"},
    )
    client.get(f"/v1/promotion_codes/{made['id']}", expand=["promotion.coupon"])
    client.get("/v1/promotion_codes", code="TWENTY")
    client.post(f"/v1/promotion_codes/{made['id']}", active=False)


FLOWS: list[Callable[[Client], None]] = [products, prices, coupons, promotion_codes]
