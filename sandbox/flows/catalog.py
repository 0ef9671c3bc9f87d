"""Creates products, prices and coupons."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid, not_supported, parameter_missing
from sandbox.identifiers import random_text
from sandbox.json_types import JsonObject
from sandbox.money import CURRENCIES
from sandbox.objects import catalog
from sandbox.params import Params
from sandbox.webhooks.events import emit

_MAX_UNIT_AMOUNT = 99999999999


def create_product(account: Account, params: Params) -> JsonObject:
    """Create a product."""
    made = catalog.product(
        params.required("name"),
        created=account.clock.timestamp(),
        active=params.boolean("active", default=True),
        description=params.text("description"),
        images=params.texts("images"),
        metadata=params.metadata(),
        **params.each_text(("tax_code", "url")),
    )
    if identifier := params.text("id"):
        _refuse_taken(account, "Product", identifier)
        made["id"] = identifier
    account.store.add(made)
    emit(account, "product.created", made)
    return made


def create_price(
    account: Account, params: Params, product_id: str, *, active: bool = True
) -> JsonObject:
    """Create a price of a product."""
    recurring = _recurrence(params.child("recurring")) if params.mapping("recurring") else None
    product = account.store.get("product", product_id, param=params.name_of("product"))
    made = catalog.price(
        product["id"],
        currency=currency_of(params),
        unit_amount=_unit_amount(params),
        created=account.clock.timestamp(),
        active=active,
        lookup_key=params.text("lookup_key"),
        metadata=params.metadata(),
        nickname=params.text("nickname"),
        recurring=recurring,
        type="recurring" if recurring else "one_time",
    )
    account.store.add(made)
    if active:
        emit(account, "price.created", made)
    return made


def create_coupon(account: Account, params: Params) -> JsonObject:
    """Create a coupon: a discount by percentage or amount."""
    percent, amount = params.text("percent_off"), params.positive("amount_off")
    if (percent is None) == (amount is None):
        raise invalid("You must specify either `amount_off` or `percent_off`.")
    identifier = params.text("id") or random_text(8)
    _refuse_taken(account, "Coupon", identifier)
    made = catalog.coupon(
        identifier,
        created=account.clock.timestamp(),
        amount_off=amount,
        currency=currency_of(params) if amount is not None else None,
        duration=params.one_of("duration", ["forever", "once", "repeating"], default="once"),
        metadata=params.metadata(),
        name=params.text("name"),
        percent_off=None if percent is None else _percentage(percent),
    )
    account.store.add(made)
    emit(account, "coupon.created", made)
    return made


def currency_of(params: Params) -> str:
    """The `currency` parameter, in lower case."""
    currency = params.required("currency").lower()
    if currency not in CURRENCIES:
        raise invalid(
            f"Invalid currency: {currency[:20]}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(CURRENCIES))}",
            param=params.name_of("currency"),
        )
    return currency


def _unit_amount(params: Params) -> int:
    amount = params.integer("unit_amount")
    if amount is None and (written := params.text("unit_amount_decimal")):
        if not written.removesuffix(".0").isdecimal():
            raise not_supported("fractions of a minor unit", param="unit_amount_decimal")
        amount = int(written.removesuffix(".0")[:12])
    if amount is None:
        raise parameter_missing(params.name_of("unit_amount"))
    if not 0 <= amount <= _MAX_UNIT_AMOUNT:
        raise invalid(
            "Invalid non-negative integer",
            param=params.name_of("unit_amount"),
            code="parameter_invalid_integer",
        )
    return amount


def _recurrence(params: Params) -> JsonObject:
    params.allow_only({"interval", "interval_count", "usage_type", "trial_period_days"})
    params.required("interval")
    return {
        "interval": params.one_of("interval", ["day", "month", "week", "year"], default=""),
        "interval_count": params.positive("interval_count") or 1,
        "meter": None,
        "trial_period_days": params.integer("trial_period_days"),
        "usage_type": "licensed",
    }


def _percentage(written: str) -> float:
    try:
        percent = float(written)
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise invalid("Invalid decimal: must be between 0 and 100", param="percent_off")
    return percent


def _refuse_taken(account: Account, kind: str, identifier: str) -> None:
    if account.store.find(identifier) is not None:
        raise invalid(f"{kind} already exists.", param="id", code="resource_already_exists")
