"""Discounts of a Checkout Session: the coupon or promotion code, and each line item's share."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from sandbox.account import Account
from sandbox.errors import invalid, parameter_missing
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.params import Params


def requested_coupon(
    account: Account, params: Params
) -> tuple[JsonObject, JsonObject | None] | None:
    """The coupon of the `discounts` parameter, and its promotion code if one was given.

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
    code = None
    if code_id:
        code = account.store.get("promotion_code", code_id, param=given.name_of("promotion_code"))
        coupon_id = code["promotion"]["coupon"]
    if not coupon_id:
        raise parameter_missing(given.name_of("coupon"))
    coupon = account.store.get("coupon", coupon_id, param=given.name_of("coupon"))
    check_redeemable(account, coupon, code)
    return coupon, code


def apply_coupon(
    items: Sequence[JsonObject], coupon: JsonObject, *, currency: str, param: str = "discounts"
) -> int:
    """Take a coupon off the line items. Returns the total discount."""
    subtotal = sum(int(item["amount_subtotal"]) for item in items)
    total = min(subtotal, _amount_off(coupon, subtotal, currency, param))
    for item, share in zip(items, _shares(total, items, subtotal), strict=True):
        item["amount_discount"] = share
        item["amount_total"] = int(item["amount_subtotal"]) - share
    return total


def check_redeemable(account: Account, coupon: JsonObject, code: JsonObject | None) -> None:
    """Raise Stripe's error for a coupon or promotion code that is expired or used up."""
    now = account.clock.timestamp()
    expired = coupon["redeem_by"] is not None and coupon["redeem_by"] <= now
    if not coupon["valid"] or expired or _is_used_up(coupon):
        raise invalid(f"Coupon {coupon['id']} is expired and cannot be applied.", param="discounts")
    if code is None:
        return
    expired = code["expires_at"] is not None and code["expires_at"] <= now
    if not code["active"] or expired or _is_used_up(code):
        raise invalid("This promotion code is not active.", param="discounts")


def check_restrictions(code: JsonObject, session: JsonObject, subtotal: int) -> None:
    """Raise Stripe's error if a promotion code is not for this customer or this amount."""
    if code["customer"] is not None and code["customer"] != session["customer"]:
        raise invalid("This promotion code is not for this customer.", param="discounts")
    limits = code["restrictions"]
    if limits["minimum_amount"] is not None and (
        limits["minimum_amount_currency"] != session["currency"]
        or subtotal < limits["minimum_amount"]
    ):
        raise invalid(
            "This promotion code needs a larger order: "
            f"{amount_text(limits['minimum_amount'], limits['minimum_amount_currency'])}.",
            param="discounts",
        )


def count_redemption(account: Account, private: JsonObject) -> None:
    """Count the redemption of a completed session's coupon and promotion code."""
    used = (private.get("coupon") or {}).get("id"), private.get("promotion_code")
    for identifier in filter(None, used):
        found = account.store.find(identifier)
        if found is None:
            continue
        found["times_redeemed"] += 1
        if _is_used_up(found):
            found["valid" if found["object"] == "coupon" else "active"] = False
        account.store.save(found)


def _is_used_up(redeemed: JsonObject) -> bool:
    most = redeemed["max_redemptions"]
    return most is not None and redeemed["times_redeemed"] >= most


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
