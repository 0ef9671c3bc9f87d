"""Builders of customers, addresses and billing details."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id, random_text
from sandbox.json_types import JsonObject

_INVOICE_SETTINGS = ("custom_fields", "default_payment_method", "footer", "rendering_options")
ADDRESS_FIELDS = ("city", "country", "line1", "line2", "postal_code", "state")


def address(given: JsonObject | None = None) -> JsonObject:
    """An address with all fields; missing ones are None."""
    return {name: (given or {}).get(name) for name in ADDRESS_FIELDS}


def billing_details(given: JsonObject | None = None) -> JsonObject:
    """Billing details of a payment method or charge."""
    details = given or {}
    return {
        "address": address(details.get("address")),
        "email": details.get("email"),
        "name": details.get("name"),
        "phone": details.get("phone"),
        "tax_id": None,
    }


def shipping(given: JsonObject | None) -> JsonObject | None:
    """Shipping details of a payment, with all fields; None if none were given."""
    if given is None:
        return None
    return {
        "address": address(given.get("address")),
        "carrier": given.get("carrier"),
        "name": given.get("name"),
        "phone": given.get("phone"),
        "tracking_number": given.get("tracking_number"),
    }


def customer(*, created: int, **fields: Any) -> JsonObject:
    """A customer."""
    return {
        "id": new_id("customer"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": random_text(8).upper(),
        "invoice_settings": dict.fromkeys(_INVOICE_SETTINGS),
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **fields,
    }
