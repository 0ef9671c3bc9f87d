"""Parameters that several routes share: addresses, shipping and billing details."""

from __future__ import annotations

from sandbox.json_types import JsonObject
from sandbox.objects.customers import ADDRESS_FIELDS
from sandbox.params import Params


def address_param(params: Params, key: str) -> JsonObject | None:
    """An address with all fields; None if it is absent or empty."""
    if not params.is_object(key):
        params.mapping(key)
        return None
    return dict(params.child(key).each_text(ADDRESS_FIELDS))


def shipping_param(params: Params, *, tracked: bool = False) -> JsonObject | None:
    """Shipping details; those of a payment are `tracked` and have a carrier."""
    if not params.is_object("shipping"):
        params.mapping("shipping")
        return None
    given = params.child("shipping")
    names = ("name", "phone", *(("carrier", "tracking_number") if tracked else ()))
    return {"address": address_param(given, "address"), **given.each_text(names)}


def billing_param(params: Params) -> JsonObject:
    """The billing details of a payment method."""
    given = params.child("billing_details")
    given.email("email")
    return {
        "address": address_param(given, "address"),
        **given.each_text(("email", "name", "phone", "tax_id")),
    }
