"""Creates products, prices and coupons."""

from __future__ import annotations

import re
from typing import Any

from sandbox.account import Account
from sandbox.errors import exclusive, invalid, not_supported, parameter_missing
from sandbox.identifiers import random_text
from sandbox.json_types import JsonObject
from sandbox.objects import catalog
from sandbox.params import Params
from sandbox.store import Query
from sandbox.webhooks.events import emit

_MAX_UNIT_AMOUNT = 99999999999
_FEATURES = "marketing_features"


def create_product(account: Account, params: Params) -> JsonObject:
    """Create a product, with its default price if `default_price_data` is given."""
    made = catalog.product(
        params.required("name"),
        created=account.clock.timestamp(),
        active=params.boolean("active", default=True),
        metadata=params.metadata(),
        type=params.text("type") or "service",
        **{name: value for name, value in product_details(params).items() if value is not None},
    )
    if identifier := params.text("id"):
        _refuse_taken(account, "Product", identifier)
        made["id"] = identifier
    account.store.add(made)
    if params.is_object("default_price_data"):
        price = create_price(account, params.child("default_price_data"), made["id"])
        account.store.save({**made, "default_price": price["id"]})
        made["default_price"] = price["id"]
    emit(account, "product.created", made)
    return made


def product_details(params: Params) -> JsonObject:
    """The fields of a product that a request creates or changes, with None for unset ones."""
    texts = ("description", "statement_descriptor", "tax_code", "unit_label", "url")
    details: JsonObject = {name: params.text(name) for name in texts if params.has(name)}
    if params.has("images"):
        details["images"] = _up_to(params, "images", 8, params.texts("images"))
    if params.has("marketing_features"):
        features = [{"name": each.required("name")} for each in params.children(_FEATURES)]
        details[_FEATURES] = _up_to(params, _FEATURES, 15, features)
    if params.has("package_dimensions"):
        size = params.child("package_dimensions")
        sides = {name: size.number(name) for name in ("height", "length", "weight", "width")}
        details["package_dimensions"] = sides if any(sides.values()) else None
    if params.has("shippable"):
        details["shippable"] = params.boolean("shippable")
    if params.has("tax_details"):
        given = params.child("tax_details").each_text(("performance_location", "tax_code"))
        details["tax_details"] = given if any(given.values()) else None
    return details


def _up_to(params: Params, key: str, most: int, items: list[Any]) -> list[Any]:
    if len(items) > most:
        raise invalid(f"You can have up to {most} {key}.", param=params.name_of(key))
    return items


def create_price(
    account: Account, params: Params, product_id: str, *, active: bool = True
) -> JsonObject:
    """Create a price of a product."""
    recurring = _recurrence(params.child("recurring")) if params.is_object("recurring") else None
    product = account.store.get("product", product_id, param=params.name_of("product"))
    made = catalog.price(
        product["id"],
        currency=currency_of(params),
        unit_amount=_unit_amount(params),
        created=account.clock.timestamp(),
        active=active,
        lookup_key=lookup_key(account, params),
        metadata=params.metadata(),
        nickname=params.text("nickname"),
        recurring=recurring,
        tax_behavior=params.text("tax_behavior") or "unspecified",
        type="recurring" if recurring else "one_time",
    )
    account.store.add(made)
    if active:
        emit(account, "price.created", made)
    return made


def lookup_key(account: Account, params: Params) -> str | None:
    """A price's lookup key. It is unique; `transfer_lookup_key` takes it from another price."""
    key = params.text("lookup_key")
    transfer = params.boolean("transfer_lookup_key")
    if key is None:
        return None
    query = Query("price")
    query.where_equal("lookup_key", key)
    for price in account.store.select(query):
        if not transfer:
            raise invalid(
                f"A price (`{price['id']}`) already uses that lookup key.", param="lookup_key"
            )
        account.store.save({**price, "lookup_key": None})
        emit(account, "price.updated", {**price, "lookup_key": None}, {"lookup_key": key})
    return key


def create_coupon(account: Account, params: Params) -> JsonObject:
    """Create a coupon: a discount by percentage or amount."""
    percent, amount = params.number("percent_off"), params.positive("amount_off")
    if percent is not None and amount is not None:
        raise exclusive("percent_off", "amount_off")
    if percent is None and amount is None:
        raise invalid("You must specify either `amount_off` or `percent_off`.")
    if percent is not None and not 0 < percent <= 100:
        raise invalid("Invalid decimal: must be between 0 and 100", param="percent_off")
    identifier = params.text("id") or random_text(8)
    _refuse_taken(account, "Coupon", identifier)
    made = catalog.coupon(
        identifier,
        created=account.clock.timestamp(),
        amount_off=amount,
        currency=currency_of(params) if amount is not None else None,
        max_redemptions=params.positive("max_redemptions"),
        metadata=params.metadata(),
        name=params.text("name"),
        percent_off=percent,
        redeem_by=_redeem_by(account, params),
        **_duration(params),
    )
    products = params.child("applies_to").texts("products")
    for index, product in enumerate(products):
        account.store.get("product", product, param=f"applies_to[products][{index}]")
    account.store.add(made, private={"applies_to": {"products": products}} if products else None)
    emit(account, "coupon.created", made)
    return made


def _duration(params: Params) -> JsonObject:
    duration = params.choice("duration", ("forever", "once", "repeating")) or "once"
    months = params.positive("duration_in_months")
    if duration == "repeating" and months is None:
        raise parameter_missing("duration_in_months")
    if duration != "repeating" and months is not None:
        raise invalid(
            "You can only specify duration_in_months with a duration of repeating.",
            param="duration_in_months",
        )
    return {"duration": duration, "duration_in_months": months}


def _redeem_by(account: Account, params: Params) -> int | None:
    moment = params.integer("redeem_by")
    if moment is not None and moment <= account.clock.timestamp():
        raise invalid("The redeem_by date must be in the future.", param="redeem_by")
    return moment


def currency_of(params: Params) -> str:
    """The required `currency` parameter, in lower case."""
    return params.currency() or params.required("currency")


def _unit_amount(params: Params) -> int:
    amount, written = params.integer("unit_amount"), params.text("unit_amount_decimal")
    if amount is not None and written:
        raise exclusive(params.name_of("unit_amount"), params.name_of("unit_amount_decimal"))
    if written:
        if not re.fullmatch(r"\d{1,12}(\.0+)?", written, re.ASCII):
            raise not_supported(
                "fractions of a minor unit", param=params.name_of("unit_amount_decimal")
            )
        amount = int(written.partition(".")[0])
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
    if (params.text("usage_type") or "licensed") != "licensed":
        raise not_supported("metered prices", param=params.name_of("usage_type"))
    return {
        "interval": params.required("interval"),
        "interval_count": params.positive("interval_count") or 1,
        "meter": None,
        "trial_period_days": params.integer("trial_period_days"),
        "usage_type": "licensed",
    }


def _refuse_taken(account: Account, kind: str, identifier: str) -> None:
    if account.store.find(identifier) is not None:
        raise invalid(f"{kind} already exists.", param="id", code="resource_already_exists")
