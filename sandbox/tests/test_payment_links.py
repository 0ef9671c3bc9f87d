"""Payment links."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.options import SANDBOX_PRICE
from sandbox.tests.shop import GOOD_CARD, Shop

pytestmark = pytest.mark.http


def link(shop: Shop, **params: Any) -> stripe.PaymentLink:
    given: Any = {"line_items": [{"price": SANDBOX_PRICE, "quantity": 2}], **params}
    return shop.client.v1.payment_links.create(given)


def visit(made: stripe.PaymentLink) -> requests.Response:
    """Open the link, as a visitor does, up to the payment page."""
    return requests.get(made.url, timeout=5)


def test_each_visit_of_a_link_opens_a_session(shop: Shop) -> None:
    made = link(shop, metadata={"campaign": "1"})

    pages = [visit(made), visit(made)]

    sessions = shop.client.v1.checkout.sessions.list().data
    assert [page.status_code for page in pages] == [200, 200]
    assert {page.url.partition("#")[0] for page in pages} == {
        str(session.url).partition("#")[0] for session in sessions
    }
    assert [each.payment_link for each in sessions] == [made.id, made.id]
    assert [each.amount_total for each in sessions] == [4000, 4000]
    assert sessions[0].metadata is not None
    assert sessions[0].metadata["campaign"] == "1"


def test_a_paid_link_ends_on_the_confirmation_page(shop: Shop) -> None:
    confirmation = {"custom_message": "See you at the door."}
    made = link(
        shop,
        after_completion={"type": "hosted_confirmation", "hosted_confirmation": confirmation},
    )

    paid = requests.post(visit(made).url, data=GOOD_CARD, timeout=10)

    assert "See you at the door." in paid.text
    assert len(shop.sandbox.events("checkout.session.completed")) == 1


def test_a_paid_link_redirects_where_it_says(shop: Shop) -> None:
    target = "http://127.0.0.1:1/done?session={CHECKOUT_SESSION_ID}"
    made = link(shop, after_completion={"type": "redirect", "redirect": {"url": target}})

    paid = requests.post(visit(made).url, data=GOOD_CARD, timeout=10, allow_redirects=False)

    (session,) = shop.client.v1.checkout.sessions.list().data
    assert paid.headers["Location"] == f"http://127.0.0.1:1/done?session={session.id}"


def test_a_link_is_updated_and_switched_off(shop: Shop) -> None:
    made = link(shop)
    links = shop.client.v1.payment_links

    off = links.update(made.id, {"active": False, "inactive_message": "Sold out."})

    assert (off.active, off.inactive_message) == (False, "Sold out.")
    assert links.list({"active": True}).data == []
    refused = visit(made)
    assert (refused.status_code, "Sold out." in refused.text) == (400, True)
    (event,) = shop.sandbox.events("payment_link.updated")
    assert event["data"]["previous_attributes"] == {"active": True, "inactive_message": None}


def test_a_limited_link_is_used_up(shop: Shop) -> None:
    made = link(shop, restrictions={"completed_sessions": {"limit": 1}})

    requests.post(visit(made).url, data=GOOD_CARD, timeout=10)

    again = shop.client.v1.payment_links.retrieve(made.id)
    assert again.restrictions is not None
    assert again.restrictions.completed_sessions.count == 1
    assert "no longer active" in visit(made).text


def test_the_line_items_of_a_link(shop: Shop) -> None:
    made = link(shop)

    (item,) = shop.client.v1.payment_links.line_items.list(made.id).data
    whole = shop.client.v1.payment_links.retrieve(made.id, {"expand": ["line_items"]})

    assert (item.description, item.quantity, item.amount_total) == ("Premium", 2, 4000)
    assert whole.line_items is not None
    assert whole.line_items.data[0].id == item.id


def test_a_link_of_a_subscription_can_be_created_but_not_used(shop: Shop) -> None:
    product = shop.client.v1.products.create({"name": "Monthly"})
    price = shop.client.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
        }
    )

    made = link(shop, line_items=[{"price": price.id, "quantity": 1}])

    assert visit(made).status_code == 400
    assert "Not possible" in visit(made).text


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "No such price"),
        ({"line_items": [{"price": SANDBOX_PRICE}]}, "quantity"),
        ({"submit_type": "x"}, "Invalid submit_type"),
        ({"after_completion": {"type": "redirect", "redirect": {"url": "x"}}}, "valid URL"),
        ({"restrictions": {"completed_sessions": {"limit": 0}}}, "ositive integer"),
        ({"subscription_data": {"trial_period_days": 3}}, "subscription_data"),
    ],
)
def test_a_wrong_link_is_refused(shop: Shop, params: dict[str, Any], message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        link(shop, **params)


def test_an_unknown_link_is_not_found(shop: Shop) -> None:
    assert requests.get(f"{shop.sandbox.url}/b/test_none", timeout=5).status_code == 404
    assert requests.get(f"{shop.sandbox.url}/c/thanks/plink_none", timeout=5).status_code == 404
