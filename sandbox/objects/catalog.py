"""Builders of products, prices, coupons and line items."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject


def product(name: str, *, created: int, **fields: Any) -> JsonObject:
    """A product."""
    return {
        "id": new_id("product"),
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
        **fields,
    }


def price(
    product_id: str, *, currency: str, unit_amount: int, created: int, **fields: Any
) -> JsonObject:
    """A price of a product, one-time unless `recurring` is given."""
    return {
        "id": new_id("price"),
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product_id,
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
        **fields,
    }


def coupon(identifier: str, *, created: int, **fields: Any) -> JsonObject:
    """A coupon, by percentage or amount."""
    return {
        "id": identifier,
        "object": "coupon",
        "amount_off": None,
        "created": created,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
        **fields,
    }


def line_item(of: JsonObject, *, description: str, quantity: int, **fields: Any) -> JsonObject:
    """A line item of a Checkout Session."""
    amount = int(of["unit_amount"]) * quantity
    return {
        "id": new_id("item"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": of["currency"],
        "description": description,
        "metadata": {},
        "price": of,
        "quantity": quantity,
        **fields,
    }
