"""Builders of promotion codes and discounts."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject


def promotion_code(coupon_id: str, code: str, *, created: int, **fields: Any) -> JsonObject:
    """A code that customers enter to redeem a coupon."""
    return {
        "id": new_id("promotion_code"),
        "object": "promotion_code",
        "active": True,
        "code": code,
        "created": created,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "promotion": {"coupon": coupon_id, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
        **fields,
    }


def discount(coupon_id: str, *, start: int, **fields: Any) -> JsonObject:
    """A coupon applied to a customer or a Checkout Session."""
    return {
        "id": new_id("discount"),
        "object": "discount",
        "checkout_session": None,
        "customer": None,
        "customer_account": None,
        "end": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon_id, "type": "coupon"},
        "start": start,
        "subscription": None,
        "subscription_item": None,
        **fields,
    }


def deleted_discount(removed: JsonObject) -> JsonObject:
    """What remains of a discount after its deletion."""
    return {**{name: value for name, value in removed.items() if name != "end"}, "deleted": True}
