"""Promotion codes, discounts of customers, and deletion of coupons, products and customers."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.testing import RunningSandbox
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

AUTH = ("sk_test_cli", "")


def coupon(shop: Shop, **params: Any) -> str:
    given: Any = {"percent_off": 20, "duration": "once", **params}
    return shop.client.v1.coupons.create(given).id


def promotion_code(shop: Shop, **params: Any) -> stripe.PromotionCode:
    promotion: Any = {"type": "coupon", "coupon": coupon(shop)}
    given: Any = {"promotion": promotion, **params}
    return shop.client.v1.promotion_codes.create(given)


def test_a_promotion_code_redeems_a_coupon(shop: Shop) -> None:
    made = promotion_code(shop, code="SUMMER-20", max_redemptions=3, metadata={"season": "1"})

    found = shop.client.v1.promotion_codes.list({"code": "SUMMER-20"}).data
    whole = shop.client.v1.promotion_codes.retrieve(made.id, {"expand": ["promotion.coupon"]})

    assert [each.id for each in found] == [made.id]
    assert isinstance(whole.promotion.coupon, stripe.Coupon)
    assert whole.promotion.coupon.percent_off == 20
    assert (made.active, made.max_redemptions, made.times_redeemed) == (True, 3, 0)
    assert len(shop.sandbox.events("promotion_code.created")) == 1


def test_a_promotion_code_without_a_code_gets_one(shop: Shop) -> None:
    made = promotion_code(shop)

    assert len(made.code) == 8
    assert made.code == made.code.upper()


def test_promotion_codes_are_found_by_their_coupon(shop: Shop) -> None:
    first, second = promotion_code(shop), promotion_code(shop)
    coupon_id = str(first.promotion.coupon)

    found = shop.client.v1.promotion_codes.list({"coupon": coupon_id, "active": True}).data

    assert [each.id for each in found] == [first.id]
    assert second.id != first.id


def test_a_promotion_code_is_switched_off_and_on(shop: Shop) -> None:
    made = promotion_code(shop, code="ONCE")

    off = shop.client.v1.promotion_codes.update(made.id, {"active": False, "metadata": {"a": "b"}})
    promotion_code(shop, code="once")

    assert (off.active, off.metadata and off.metadata["a"]) == (False, "b")
    event = shop.sandbox.events("promotion_code.updated")[0]
    assert event["data"]["previous_attributes"] == {"active": True, "metadata": {}}
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        shop.client.v1.promotion_codes.update(made.id, {"active": True})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"code": "with space"}, "letters, digits and dashes"),
        ({"expires_at": 1}, "in the future"),
        ({"customer": "cus_none"}, "No such customer"),
        ({"max_redemptions": 0}, "positive integer"),
        ({"restrictions": {"minimum_amount": 500}}, "minimum_amount_currency"),
        ({"restrictions": {"currency_options": {"eur": {"minimum_amount": 5}}}}, "does not cover"),
        ({"restrictions": {"nothing": "1"}}, "unknown parameter"),
        ({"promotion": {"type": "gift"}}, "must be coupon"),
        ({"promotion": {"type": "coupon"}}, "Missing required param: promotion\\[coupon\\]"),
        ({"promotion": {"type": "coupon", "coupon": "none"}}, "No such coupon"),
        ({"promotion": ""}, "empty string for 'promotion'"),
    ],
)
def test_a_wrong_promotion_code_is_refused(
    shop: Shop, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        promotion_code(shop, **params)


def test_coupon_of_a_promotion_code_is_known_to_old_api_versions_only(
    shop: Shop, sandbox: RunningSandbox
) -> None:
    asked = {"coupon": coupon(shop)}
    url = f"{sandbox.url}/v1/promotion_codes"

    old = requests.post(url, data=asked, auth=AUTH, timeout=5)
    new = requests.post(
        url, data=asked, auth=AUTH, timeout=5, headers={"Stripe-Version": "2026-10-28.endive"}
    )

    assert old.json()["promotion"] == {"coupon": asked["coupon"], "type": "coupon"}
    assert new.json()["error"]["code"] == "parameter_unknown"


def test_a_customers_discount_is_made_changed_and_removed(
    shop: Shop, sandbox: RunningSandbox
) -> None:
    first, second = coupon(shop), coupon(shop)
    url = f"{sandbox.url}/v1/customers"
    made = requests.post(url, data={"coupon": first}, auth=AUTH, timeout=5).json()

    assert made["discount"]["source"] == {"coupon": first, "type": "coupon"}
    changed = requests.post(f"{url}/{made['id']}", data={"coupon": second}, auth=AUTH, timeout=5)
    assert changed.json()["discount"]["source"]["coupon"] == second
    removed = requests.post(f"{url}/{made['id']}", data={"coupon": ""}, auth=AUTH, timeout=5)
    assert removed.json()["discount"] is None

    changes = [each["type"] for each in sandbox.events() if "discount" in each["type"]]
    assert changes == [f"customer.discount.{verb}" for verb in ("created", "updated", "deleted")]


def test_a_customers_discount_is_deleted_by_its_route(shop: Shop, sandbox: RunningSandbox) -> None:
    asked = {"coupon": coupon(shop)}
    made = requests.post(f"{sandbox.url}/v1/customers", data=asked, auth=AUTH, timeout=5).json()

    gone = shop.client.v1.customers.delete_discount(made["id"])

    assert gone.deleted is True
    assert shop.client.v1.customers.retrieve(made["id"]).discount is None
    with pytest.raises(stripe.InvalidRequestError, match="No active discount"):
        shop.client.v1.customers.delete_discount(made["id"])


def test_a_coupon_is_renamed_and_deleted(shop: Shop) -> None:
    made = coupon(shop)

    renamed = shop.client.v1.coupons.update(made, {"name": "Twenty", "metadata": {"a": "b"}})
    deleted = shop.client.v1.coupons.delete(made)

    assert (renamed.name, deleted.deleted) == ("Twenty", True)
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        shop.client.v1.coupons.retrieve(made)
    types = [each["type"] for each in shop.sandbox.events() if each["type"].startswith("coupon")]
    assert types == ["coupon.created", "coupon.updated", "coupon.deleted"]


def test_a_deleted_customer_is_still_shown_as_deleted(shop: Shop) -> None:
    made = shop.client.v1.customers.create({"email": "gone@example.com"})

    shop.client.v1.customers.delete(made.id)

    assert shop.client.v1.customers.retrieve(made.id).deleted is True
    assert shop.client.v1.customers.list({"email": "gone@example.com"}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        shop.client.v1.customers.update(made.id, {"name": "Back"})
    assert shop.sandbox.events("customer.deleted")[0]["data"]["object"]["email"] == made.email


def test_a_product_is_deleted_unless_it_has_prices(shop: Shop) -> None:
    product = shop.client.v1.products.create({"name": "Book"})
    priced = shop.client.v1.products.create({"name": "Sold"})
    shop.client.v1.prices.create({"product": priced.id, "currency": "usd", "unit_amount": 500})

    assert shop.client.v1.products.delete(product.id).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="user-created prices"):
        shop.client.v1.products.delete(priced.id)
    assert len(shop.sandbox.events("product.deleted")) == 1
