"""Discounts of a Checkout Session: the coupon or promotion code, and each line item's share."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from sandbox.account import Account
from sandbox.errors import invalid, parameter_missing
from sandbox.json_types import JsonObject
from sandbox.objects.discounts import discount
from sandbox.params import Params


def requested_coupon(account: Account, params: Params) -> tuple[JsonObject, str | None] | None:
    """The coupon of the `discounts` parameter, and the id of its promotion code if one was given.

    Raises Stripe's error for a coupon or code that cannot be redeemed.
    """
    asked = params.children("discounts")
    if not asked:
        return None
    if len(asked) > 1:
        raise invalid("You may only specify one discount.", param="discounts")
    given = asked[0]
    coupon_id, code_id = given.text("coupon"), given.text("promotion_code")
    if coupon_id and code_id:
        raise invalid(
            "You may only specify one of these parameters: coupon, promotion_code.",
            param=given.name_of("promotion_code"),
        )
    if code_id:
        code = account.store.get("promotion_code", code_id, param=given.name_of("promotion_code"))
        if not code["active"]:
            raise invalid(
                "This promotion code is not active.", param=given.name_of("promotion_code")
            )
        coupon_id = code["promotion"]["coupon"]
    if not coupon_id:
        raise parameter_missing(given.name_of("coupon"))
    coupon = account.store.get("coupon", coupon_id, param=given.name_of("coupon"))
    if not coupon["valid"]:
        raise invalid(f"Coupon {coupon_id} is not valid.", param=given.name_of("coupon"))
    return coupon, code_id


def apply_coupon(
    items: Sequence[JsonObject], coupon: JsonObject, *, currency: str, param: str = "discounts"
) -> int:
    """Take a coupon off the line items. Returns the total discount."""
    subtotal = sum(int(item["amount_subtotal"]) for item in items)
    total = min(subtotal, _amount_off(coupon, subtotal, currency, param))
    for item, share in zip(items, _shares(total, items, subtotal), strict=True):
        item["amount_discount"] = share
        item["amount_total"] = int(item["amount_subtotal"]) + int(item["amount_tax"]) - share
    return total


def discount_amounts(
    items: Sequence[JsonObject],
    coupon: JsonObject,
    code_id: str | None,
    *,
    session_id: str,
    created: int,
) -> dict[str, list[JsonObject]]:
    """Discounts with their amounts, by id of the session and of each line item."""
    applied = discount(
        coupon["id"], start=created, checkout_session=session_id, promotion_code=code_id
    )
    total = sum(int(item["amount_discount"]) for item in items)
    return {
        session_id: [{"amount": total, "discount": applied}],
        **{
            item["id"]: [{"amount": item["amount_discount"], "discount": applied}] for item in items
        },
    }


def _amount_off(coupon: JsonObject, subtotal: int, currency: str, param: str) -> int:
    if coupon["percent_off"] is not None:
        share = subtotal * Decimal(str(coupon["percent_off"])) / 100
        return int(share.to_integral_value(ROUND_HALF_UP))
    if coupon["currency"] != currency:
        raise invalid(
            f"The coupon is in {coupon['currency']} and the line items are in {currency}.",
            param=param,
        )
    return int(coupon["amount_off"])


def _shares(total: int, items: Sequence[JsonObject], subtotal: int) -> list[int]:
    """Split a discount in proportion to the line items' amounts; the shares add up to it."""
    shares, taken, passed = [], 0, 0
    for item in items:
        passed += int(item["amount_subtotal"])
        share = total * passed // subtotal - taken if subtotal else 0
        taken += share
        shares.append(share)
    return shares
