"""Creates promotion codes; applies discounts to customers and removes them."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid, parameter_missing
from sandbox.identifiers import random_text
from sandbox.json_types import JsonObject
from sandbox.objects import discounts
from sandbox.params import Params
from sandbox.store import Query
from sandbox.webhooks.events import emit


def create_promotion_code(account: Account, params: Params, coupon_id: str) -> JsonObject:
    """Create a promotion code of a coupon."""
    coupon = account.store.get("coupon", coupon_id, param="promotion[coupon]")
    if not coupon["valid"]:
        raise invalid(f"Coupon {coupon_id} is not valid.", param="promotion[coupon]")
    active = params.boolean("active", default=True)
    code = params.text("code") or random_text(8).upper()
    _check_code(code)
    if active and find_active_code(account, code) is not None:
        raise invalid("An active promotion code with this code already exists.", param="code")
    customer = params.text("customer")
    if customer is not None:
        account.store.get("customer", customer, param="customer")
    made = discounts.promotion_code(
        coupon_id,
        code,
        created=account.clock.timestamp(),
        active=active,
        customer=customer,
        expires_at=_expiry(account, params),
        max_redemptions=params.positive("max_redemptions"),
        metadata=params.metadata(),
        restrictions=_restrictions(params.child("restrictions")),
    )
    account.store.add(made)
    emit(account, "promotion_code.created", made)
    return made


def find_active_code(account: Account, code: str) -> JsonObject | None:
    """The active promotion code that customers enter as `code`, in upper or lower case."""
    query = Query("promotion_code")
    query.where("lower(json_extract(body, '$.code')) = ?", code.lower())
    query.where("json_extract(body, '$.active')")
    found = account.store.select(query, limit=1)
    return found[0] if found else None


def set_customer_discount(account: Account, customer: JsonObject, coupon_id: str) -> None:
    """Apply a coupon to a customer, replacing an earlier discount."""
    account.store.get("coupon", coupon_id, param="coupon")
    earlier = customer["discount"]
    made = discounts.discount(coupon_id, start=account.clock.timestamp(), customer=customer["id"])
    account.store.save({**customer, "discount": made})
    customer["discount"] = made
    if earlier is None:
        emit(account, "customer.discount.created", made)
    else:
        emit(account, "customer.discount.updated", made, {"source": earlier["source"]})


def remove_customer_discount(account: Account, customer: JsonObject) -> JsonObject | None:
    """Remove a customer's discount. Returns what remains of it, or None if there was none."""
    removed: JsonObject | None = customer["discount"]
    if removed is None:
        return None
    customer["discount"] = None
    account.store.save(customer)
    emit(account, "customer.discount.deleted", removed)
    return discounts.deleted_discount(removed)


def _check_code(code: str) -> None:
    if not code.isascii() or not code.replace("-", "").isalnum():
        raise invalid("The code may only contain letters, digits and dashes.", param="code")


def _expiry(account: Account, params: Params) -> int | None:
    moment = params.integer("expires_at")
    if moment is not None and moment <= account.clock.timestamp():
        raise invalid("The expiry date must be in the future.", param="expires_at")
    return moment


def _restrictions(params: Params) -> JsonObject:
    amount = params.positive("minimum_amount")
    currency = params.currency("minimum_amount_currency")
    if amount is not None and currency is None:
        raise parameter_missing("restrictions[minimum_amount_currency]")
    return {
        "first_time_transaction": params.boolean("first_time_transaction"),
        "minimum_amount": amount,
        "minimum_amount_currency": currency,
    }
