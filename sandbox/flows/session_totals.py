"""Amounts of a Checkout Session: line items, discount, shipping and tax.

They are computed anew whenever the customer changes something on the page. The private data of the
session says what they are computed from: `line_items`, `coupon`, `promotion_code`, `tax_location`
and `shipping_rate`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.account import Account
from sandbox.errors import invalid
from sandbox.flows.session_discounts import apply_coupon
from sandbox.flows.tax import Taxation, is_inclusive, tax_on, taxation
from sandbox.json_types import JsonObject
from sandbox.money import MAX_AMOUNT, amount_text, minimum_amount
from sandbox.objects.discounts import discount


def compute_totals(account: Account, session: JsonObject, private: JsonObject) -> None:
    """Set the amounts of a session and its line items. Raises a 400 beyond Stripe's limits."""
    items = private["line_items"]
    for item in items:
        subtotal = int(item["price"]["unit_amount"]) * int(item["quantity"])
        item.update(amount_subtotal=subtotal, amount_discount=0, amount_tax=0)
        item["amount_total"] = subtotal
    breakdown: dict[str, JsonObject] = {
        item["id"]: {"discounts": [], "taxes": []} for item in items
    }
    private["discounts"] = _discount(account, session, private, breakdown)
    tax = _taxation(account, session, private)
    shipping = _ship(account, session, private, tax)
    private["taxes"] = _tax_items(items, tax, breakdown)
    if shipping and shipping["taxes"]:
        private["taxes"] = _summed([*private["taxes"], *shipping["taxes"]])
    _set_amounts(session, items, shipping)
    _keep_breakdown(account, private, breakdown)


def check_total(session: JsonObject) -> None:
    """Raise Stripe's error for a total that cannot be paid."""
    due, currency = int(session["amount_total"]), session["currency"]
    if due > MAX_AMOUNT:
        raise invalid(
            "The Checkout Session's total amount due must be no more than "
            f"{amount_text(MAX_AMOUNT, currency)}.",
            code="amount_too_large",
        )
    if 0 < due < minimum_amount(currency):
        raise invalid(
            "The Checkout Session's total amount due must add up to at least "
            f"{amount_text(minimum_amount(currency), currency)} {currency}",
            code="amount_too_small",
        )


def _keep_breakdown(
    account: Account, private: JsonObject, breakdown: dict[str, JsonObject]
) -> None:
    """Store each line item's discounts and taxes, which are shown only when expanded."""
    given = any(amounts["discounts"] or amounts["taxes"] for amounts in breakdown.values())
    if given or private.get("breakdown_stored"):
        private["breakdown_stored"] = True
        for identifier, amounts in breakdown.items():
            account.store.set_private(identifier, amounts)


def _set_amounts(
    session: JsonObject, items: Sequence[JsonObject], shipping: JsonObject | None
) -> None:
    carriage = {"amount_subtotal": 0, "amount_tax": 0, "amount_total": 0, **(shipping or {})}
    total = _sum(items, "amount_total") + int(carriage["amount_total"])
    session.update(
        amount_subtotal=_sum(items, "amount_subtotal"),
        amount_total=total,
        total_details={
            "amount_discount": _sum(items, "amount_discount"),
            "amount_shipping": carriage["amount_subtotal"],
            "amount_tax": _sum(items, "amount_tax") + int(carriage["amount_tax"]),
        },
        shipping_cost=shipping
        and {name: value for name, value in shipping.items() if name != "taxes"},
        payment_status="unpaid" if total else "no_payment_required",
    )


def _discount(
    account: Account, session: JsonObject, private: JsonObject, breakdown: dict[str, JsonObject]
) -> list[JsonObject]:
    coupon, code_id = private.get("coupon"), private.get("promotion_code")
    session["discounts"] = []
    if coupon is None:
        return []
    session["discounts"] = [{"coupon": coupon["id"], "promotion_code": code_id}]
    items = _discounted_items(account, coupon, private["line_items"])
    total = apply_coupon(items, coupon, currency=session["currency"])
    applied = private.get("discount") or discount(
        coupon["id"],
        start=account.clock.timestamp(),
        checkout_session=session["id"],
        promotion_code=code_id,
    )
    private["discount"] = applied
    for item in items:
        breakdown[item["id"]]["discounts"] = [
            {"amount": item["amount_discount"], "discount": applied}
        ]
    return [{"amount": total, "discount": applied}]


def _discounted_items(
    account: Account, coupon: JsonObject, items: list[JsonObject]
) -> list[JsonObject]:
    """The line items that a coupon applies to: all, unless it names products."""
    named = account.store.get_private(coupon["id"]).get("applies_to")
    if not named:
        return items
    return [item for item in items if item["price"]["product"] in named["products"]]


def _taxation(account: Account, session: JsonObject, private: JsonObject) -> Taxation | None:
    if not session["automatic_tax"]["enabled"]:
        return None
    location = private.get("tax_location")
    session["automatic_tax"]["status"] = "complete" if location else "requires_location_inputs"
    if not location:
        return None
    customer = account.store.find(session["customer"] or "")
    exempt = customer["tax_exempt"] if customer else "none"
    return taxation(location, exempt=exempt, created=account.clock.timestamp())


def _tax_items(
    items: Sequence[JsonObject], tax: Taxation | None, breakdown: dict[str, JsonObject]
) -> list[JsonObject]:
    if tax is None:
        return []
    for item in items:
        inclusive = is_inclusive(item["price"]["tax_behavior"], item["currency"])
        levied = tax_on(int(item["amount_total"]), tax, inclusive=inclusive)
        item["amount_tax"] = levied["amount"]
        item["amount_total"] += 0 if inclusive else levied["amount"]
        breakdown[item["id"]]["taxes"] = [levied]
    return _summed([levied for each in breakdown.values() for levied in each["taxes"]])


def _ship(
    account: Account, session: JsonObject, private: JsonObject, tax: Taxation | None
) -> JsonObject | None:
    """The session's `shipping_cost`; None without a shipping option."""
    chosen = private.get("shipping_rate")
    if chosen is None:
        return None
    rate = account.store.get("shipping_rate", chosen)
    amount = int(rate["fixed_amount"]["amount"])
    inclusive = is_inclusive(rate["tax_behavior"], session["currency"])
    levied = tax_on(amount, tax, inclusive=inclusive) if tax else None
    added = levied["amount"] if levied and not inclusive else 0
    return {
        "amount_subtotal": amount,
        "amount_tax": levied["amount"] if levied else 0,
        "amount_total": amount + added,
        "shipping_rate": chosen,
        "taxes": [levied] if levied else [],
    }


def _summed(taxes: Sequence[JsonObject]) -> list[JsonObject]:
    """Taxes added up by rate and by whether the amounts include them."""
    sums: dict[bool, JsonObject] = {}
    for tax in taxes:
        inclusive = bool(tax["rate"]["inclusive"])
        total = sums.setdefault(inclusive, {**tax, "amount": 0, "taxable_amount": 0})
        for name in ("amount", "taxable_amount"):
            total[name] += tax[name]
    return list(sums.values())


def _sum(items: Sequence[JsonObject], name: str) -> int:
    return sum(int(item[name]) for item in items)
