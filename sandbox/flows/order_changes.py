"""Changes that the customer makes to an order on the payment page, before paying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.account import Account
from sandbox.errors import invalid
from sandbox.flows.discounts import find_active_code
from sandbox.flows.session_discounts import check_redeemable, check_restrictions
from sandbox.flows.session_totals import check_total, compute_totals
from sandbox.json_types import JsonObject
from sandbox.objects.catalog import line_item


@dataclass(frozen=True)
class OrderChanges:
    """Choices of the customer; what is None or missing stays as it is."""

    quantities: Mapping[str, int] = field(default_factory=dict)
    """By line item."""
    optional_items: Mapping[int, int] | None = None
    """Quantity of each chosen item, by its place in the session's `optional_items`."""
    shipping_rate: str | None = None
    promotion_code: str | None = None
    """A code as the customer enters it; empty to remove the discount."""
    location: JsonObject | None = None
    """Address that determines the taxes."""


def change_order(account: Account, session_id: str, changes: OrderChanges) -> JsonObject:
    """Apply the changes and compute the totals anew. Raises a 400 for what is not offered."""
    session = account.store.get("checkout.session", session_id, param="session")
    private = account.store.get_private(session_id)
    with account.change():
        _set_quantities(session, private, changes.quantities)
        if changes.optional_items is not None:
            _choose_optional_items(account, session, private, changes.optional_items)
        if changes.shipping_rate is not None:
            _choose_shipping(session, private, changes.shipping_rate)
        if changes.promotion_code is not None:
            _apply_code(account, session, private, changes.promotion_code)
        if changes.location is not None:
            private["tax_location"] = changes.location
        compute_totals(account, session, private)
        check_total(session)
        account.store.set_private(session_id, private)
        return account.store.save(session)


def _set_quantities(
    session: JsonObject, private: JsonObject, quantities: Mapping[str, int]
) -> None:
    kept = []
    for item in private["line_items"]:
        quantity = quantities.get(item["id"], item["quantity"])
        bounds = item["adjustable_quantity"]
        if quantity != item["quantity"]:
            if bounds is None or not bounds["minimum"] <= quantity <= bounds["maximum"]:
                raise invalid("This quantity is not available.", param=f"quantity-{item['id']}")
            item["quantity"] = quantity
        if quantity:
            kept.append(item)
    if not kept:
        raise invalid("Your order is empty.", param="quantity")
    private["line_items"] = kept


def _choose_optional_items(
    account: Account, session: JsonObject, private: JsonObject, chosen: Mapping[int, int]
) -> None:
    added: JsonObject = private.get("optional_items", {})
    for index, offer in enumerate(session.get("optional_items") or []):
        key = str(index)
        item = next((each for each in private["line_items"] if each["id"] == added.get(key)), None)
        if index not in chosen:
            private["line_items"] = [each for each in private["line_items"] if each is not item]
            added.pop(key, None)
        elif item is None:
            made = _optional_line(account, offer, chosen[index])
            private["line_items"].append(made)
            added[key] = made["id"]
    private["optional_items"] = added


def _optional_line(account: Account, offer: JsonObject, quantity: int) -> JsonObject:
    bounds = offer["adjustable_quantity"]
    if bounds is None or not bounds["minimum"] <= quantity <= bounds["maximum"]:
        quantity = int(offer["quantity"])
    price = account.store.get("price", offer["price"])
    product = account.store.get("product", price["product"])
    return line_item(
        price,
        description=product["name"],
        quantity=quantity,
        adjustable_quantity=bounds,
    )


def _choose_shipping(session: JsonObject, private: JsonObject, rate: str) -> None:
    if rate not in [option["shipping_rate"] for option in session["shipping_options"]]:
        raise invalid("This shipping option is not available.", param="shippingOption")
    private["shipping_rate"] = rate


def _apply_code(account: Account, session: JsonObject, private: JsonObject, code: str) -> None:
    if not session["allow_promotion_codes"]:
        raise invalid("This order takes no promotion codes.", param="promotionCode")
    private.update(coupon=None, promotion_code=None, discount=None)
    if not code:
        return
    found = find_active_code(account, code)
    coupon = account.store.find(found["promotion"]["coupon"]) if found else None
    if found is None or coupon is None:
        raise invalid("This code is invalid.", param="promotionCode")
    check_redeemable(account, coupon, found)
    check_restrictions(found, session, int(session["amount_subtotal"]))
    private.update(coupon=coupon, promotion_code=found["id"])
