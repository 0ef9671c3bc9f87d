"""Request parameters, sent by Stripe's SDK."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import stripe
from stripe.params import WebhookEndpointCreateParams

from sandbox.tests.shop import Shop
from sandbox.webhooks.endpoints import EVENT_TYPES

pytestmark = pytest.mark.http


def test_line_items_are_paged_both_ways(shop: Shop) -> None:
    price = {"currency": "usd", "product_data": {"name": "Part"}}
    items = [{"price_data": {**price, "unit_amount": 100 + i}, "quantity": 1} for i in range(7)]
    session = shop.session(line_items=items)
    as_list = shop.client.v1.checkout.sessions.line_items

    every = [each.id for each in as_list.list(session.id, {"limit": 2}).auto_paging_iter()]
    earlier: Any = as_list.list(session.id, {"limit": 2, "ending_before": every[5]})
    backwards = [each.id for each in earlier.auto_paging_iter()]

    assert len(set(every)) == 7
    assert backwards == list(reversed(every[:5]))


def test_metadata_may_have_numbers_for_names_and_can_be_emptied(shop: Shop) -> None:
    products = shop.client.v1.products
    made = products.create({"name": "Credits", "metadata": {"0": "zero", "1": "", "a": "b"}})

    assert made.metadata.to_dict() == {"0": "zero", "a": "b"}
    assert products.update(made.id, {"metadata": ""}).metadata.to_dict() == {}


def test_metadata_cannot_grow_past_its_limit(shop: Shop) -> None:
    products = shop.client.v1.products
    made = products.create({"name": "Credits", "metadata": {f"a{i}": "1" for i in range(50)}})

    with pytest.raises(stripe.InvalidRequestError, match="50 metadata keys"):
        products.update(made.id, {"metadata": {"one": "more"}})


def test_an_endpoint_takes_every_event_the_sdk_knows_and_keeps_its_metadata(shop: Shop) -> None:
    wanted: Any = WebhookEndpointCreateParams.__annotations__["enabled_events"]
    (names,) = get_args(wanted)
    known = set(get_args(names)) - {"*"}
    endpoints = shop.client.v1.webhook_endpoints

    made = endpoints.create({"url": "http://127.0.0.1:1/x", "enabled_events": sorted(known)})
    updated = endpoints.update(made.id, {"metadata": {"team": "billing"}})

    assert known == EVENT_TYPES
    assert updated.metadata.to_dict() == {"team": "billing"}


def test_a_coupon_in_another_currency_is_refused(shop: Shop) -> None:
    coupon = shop.client.v1.coupons.create({"amount_off": 100, "currency": "eur"})

    with pytest.raises(stripe.InvalidRequestError, match="coupon is in eur"):
        shop.session(discounts=[{"coupon": coupon.id}])
