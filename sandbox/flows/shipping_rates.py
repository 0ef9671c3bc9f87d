"""Creates shipping rates, and offers them in Checkout Sessions.

Stripe docs: https://docs.stripe.com/payments/during-payment/charge-shipping
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import exclusive, invalid, parameter_missing
from sandbox.flows.catalog import currency_of
from sandbox.json_types import JsonObject
from sandbox.objects.shipping_rates import shipping_rate
from sandbox.params import Params

_MAX_OPTIONS = 5


def create_shipping_rate(account: Account, params: Params) -> JsonObject:
    """Create a shipping rate."""
    made = shipping_rate(
        params.required("display_name"),
        created=account.clock.timestamp(),
        delivery_estimate=_delivery_estimate(params.child("delivery_estimate")),
        fixed_amount=_fixed_amount(params),
        metadata=params.metadata(),
        tax_behavior=params.text("tax_behavior") or "unspecified",
        tax_code=params.text("tax_code"),
        type=params.text("type") or "fixed_amount",
    )
    return account.store.add(made)


def shipping_options(account: Account, params: Params, currency: str) -> list[JsonObject]:
    """The rates that a session offers; those given inline are created."""
    asked = params.children("shipping_options")
    if len(asked) > _MAX_OPTIONS:
        raise invalid(
            f"You can have up to {_MAX_OPTIONS} shipping options.", param="shipping_options"
        )
    rates = [_rate(account, each) for each in asked]
    for rate in rates:
        if rate["fixed_amount"]["currency"] != currency:
            raise invalid(
                f"The shipping rates must have the same currency as the line items: {currency}.",
                param="shipping_options",
            )
    return [
        {"shipping_amount": rate["fixed_amount"]["amount"], "shipping_rate": rate["id"]}
        for rate in rates
    ]


def _rate(account: Account, option: Params) -> JsonObject:
    if option.has("shipping_rate") and option.has("shipping_rate_data"):
        raise exclusive(option.name_of("shipping_rate"), option.name_of("shipping_rate_data"))
    if option.is_object("shipping_rate_data"):
        return create_shipping_rate(account, option.child("shipping_rate_data"))
    name = option.name_of("shipping_rate")
    rate = account.store.get("shipping_rate", option.required("shipping_rate"), param=name)
    if not rate["active"]:
        raise invalid(f"The shipping rate {rate['id']} is not active.", param=name)
    return rate


def _fixed_amount(params: Params) -> JsonObject:
    given = params.child("fixed_amount")
    amount = given.integer("amount")
    if amount is None:
        raise parameter_missing(given.name_of("amount"))
    if amount < 0:
        raise invalid("Invalid non-negative integer", param=given.name_of("amount"))
    return {"amount": amount, "currency": currency_of(given)}


def _delivery_estimate(params: Params) -> JsonObject | None:
    bounds = {
        name: {"unit": params.child(name).required("unit"), "value": _days(params.child(name))}
        for name in ("maximum", "minimum")
        if params.is_object(name)
    }
    return {"maximum": None, "minimum": None, **bounds} if bounds else None


def _days(params: Params) -> int | None:
    return params.positive("value")
