"""Request parameters, sent by Stripe's SDK."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import requests
import stripe
from stripe.params import WebhookEndpointCreateParams

from sandbox.testing import RunningSandbox
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


SESSION: dict[str, Any] = {
    "mode": "payment",
    "line_items": [{"price": "price_sandbox_premium", "quantity": 1}],
    "success_url": "http://127.0.0.1:1/paid",
}
INTENT: dict[str, Any] = {"amount": 2000, "currency": "usd"}


def price_data(**more: Any) -> dict[str, Any]:
    data = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Part"}, **more}
    return {**SESSION, "line_items": [{"price_data": data, "quantity": 1}]}


WRONG: dict[str, tuple[str, dict[str, Any], str, str | None]] = {
    "an unknown parameter": (
        "checkout.sessions",
        {**SESSION, "colour": "red"},
        "Received unknown parameter: colour",
        "parameter_unknown",
    ),
    "an unknown key of an inline price": (
        "checkout.sessions",
        price_data(colour="red"),
        "unknown parameter: line_items[0][price_data][colour]",
        "parameter_unknown",
    ),
    "an unknown key of an inline product": (
        "checkout.sessions",
        price_data(product_data={"name": "Part", "colour": "red"}),
        "unknown parameter: line_items[0][price_data][product_data][colour]",
        "parameter_unknown",
    ),
    "a language that Checkout does not have": (
        "checkout.sessions",
        {**SESSION, "locale": "no"},
        "Invalid locale: must be one of de, en, fr",
        None,
    ),
    "a wrong choice inside": (
        "checkout.sessions",
        price_data(tax_behavior="none"),
        "Invalid line_items[0][price_data][tax_behavior]: must be one of unspecified, exclusive, "
        "or inclusive",
        None,
    ),
    "an empty text": (
        "products",
        {"name": ""},
        "You passed an empty string for 'name'",
        "parameter_invalid_empty",
    ),
    "an empty text inside": (
        "checkout.sessions",
        price_data(product_data={"name": "Part", "description": ""}),
        "empty string for 'line_items[0][price_data][product_data][description]'",
        "parameter_invalid_empty",
    ),
    "a missing parameter inside": (
        "checkout.sessions",
        {**SESSION, "line_items": [{"price_data": {"unit_amount": 500}, "quantity": 1}]},
        "Missing required param: line_items[0][price_data][currency].",
        "parameter_missing",
    ),
    "a text for a number": (
        "payment_intents",
        {**INTENT, "amount": "many"},
        "Invalid integer: many",
        "parameter_invalid_integer",
    ),
    "a text for a boolean": ("products", {"name": "A", "active": "maybe"}, "Invalid boolean", None),
    "a text for an object": (
        "payment_intents",
        {**INTENT, "automatic_payment_methods": "on"},
        "Invalid object",
        None,
    ),
    "a text for a list": ("products", {"name": "A", "images": "a.png"}, "Invalid array", None),
    "an object for a text": ("products", {"name": {"a": "b"}}, "Invalid string", None),
    "too little in pounds": (
        "payment_intents",
        {"amount": 29, "currency": "gbp"},
        "at least £0.30",
        "amount_too_small",
    ),
    "too little in Swedish crowns": (
        "payment_intents",
        {"amount": 299, "currency": "sek"},
        "at least 3.00 SEK",
        "amount_too_small",
    ),
    "two amounts of one price": (
        "products",
        {
            "name": "A",
            "default_price_data": {
                "currency": "usd",
                "unit_amount": 500,
                "unit_amount_decimal": "500",
            },
        },
        "default_price_data[unit_amount], default_price_data[unit_amount_decimal]",
        None,
    ),
    "a product by id and inline": (
        "prices",
        {"currency": "usd", "product": "x", "product_data": {"name": "A"}, "unit_amount": 500},
        "You may only specify one of these parameters: product, product_data.",
        None,
    ),
    "a percentage and an amount off": (
        "coupons",
        {"percent_off": 10, "amount_off": 100, "currency": "usd"},
        "You may only specify one of these parameters: percent_off, amount_off.",
        None,
    ),
    "a repeating coupon without an end": (
        "coupons",
        {"percent_off": 10, "duration": "repeating"},
        "Missing required param: duration_in_months.",
        "parameter_missing",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_refused_as_stripe_refuses_it(shop: Shop, name: str) -> None:
    resource, params, message, code = WRONG[name]
    service: Any = shop.client.v1
    for part in resource.split("."):
        service = getattr(service, part)

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        service.create(params)

    assert message in str(refusal.value.user_message)
    assert refusal.value.code == code


@pytest.mark.parametrize("email", ["test@test", "otameshi@com", " a@x.com ", "a b@x.com", "@x.com"])
def test_an_email_address_that_stripe_refuses_is_refused(shop: Shop, email: str) -> None:
    v1: Any = shop.client.v1
    for create in (
        lambda: shop.session(customer_email=email),
        lambda: v1.customers.create({"email": email}),
        lambda: v1.payment_intents.create({**INTENT, "receipt_email": email}),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="Invalid email address") as refusal:
            create()
        assert refusal.value.code == "email_invalid"


@pytest.mark.parametrize(
    ("path", "verb"),
    [
        ("/v1/checkout/sessions/{session}", "get"),
        ("/v1/checkout/sessions/{session}/expire", "post"),
        ("/v1/payment_intents/{intent}", "get"),
        ("/v1/payment_intents/{intent}/cancel", "post"),
        ("/v1/products/{product}", "get"),
        ("/v1/prices/price_sandbox_premium", "get"),
    ],
)
def test_routes_without_parameters_refuse_unknown_ones(shop: Shop, path: str, verb: str) -> None:
    v1: Any = shop.client.v1
    made = {
        "session": shop.session().id,
        "intent": v1.payment_intents.create({"amount": 2000, "currency": "usd"}).id,
        "product": v1.products.create({"name": "Book"}).id,
    }

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.client.raw_request(verb, path.format(**made), colour="red")

    assert refusal.value.code == "parameter_unknown"


NOT_COVERED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a share for the platform": (
        "payment_intents",
        {**INTENT, "application_fee_amount": 100},
        "application_fee_amount",
    ),
    "a share for the platform in a session": (
        "checkout.sessions",
        {**SESSION, "payment_intent_data": {"application_fee_amount": 100}},
        "payment_intent_data[application_fee_amount]",
    ),
    "tax rates of a line": (
        "checkout.sessions",
        {**SESSION, "line_items": [{**SESSION["line_items"][0], "tax_rates": ["txr_1"]}]},
        "line_items[0][tax_rates][0]",
    ),
    "test clocks": ("customers", {"test_clock": "clock_1"}, "test_clock"),
    "several currencies": (
        "prices",
        {
            "currency": "usd",
            "unit_amount": 500,
            "product_data": {"name": "A"},
            "tiers": [{"up_to": "inf", "unit_amount": 500}],
        },
        "tiers[0]",
    ),
}


@pytest.mark.parametrize("name", NOT_COVERED)
def test_a_parameter_that_is_not_covered_is_refused_by_name(shop: Shop, name: str) -> None:
    resource, params, param = NOT_COVERED[name]
    service: Any = shop.client.v1
    for part in resource.split("."):
        service = getattr(service, part)
    before = len(shop.sandbox.events())

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        service.create(params)

    assert "which this sandbox does not cover" in str(refusal.value.user_message)
    assert str(refusal.value.param).startswith(param)
    assert len(shop.sandbox.events()) == before  # nothing was created


def test_older_api_versions_may_send_what_later_ones_removed(
    shop: Shop, sandbox: RunningSandbox
) -> None:
    form = {
        "mode": "payment",
        "line_items[0][price]": "price_sandbox_premium",
        "line_items[0][quantity]": "1",
        "success_url": "http://127.0.0.1:1/paid",
        "payment_method_types[]": "card",
    }
    url = f"{sandbox.url}/v1/checkout/sessions"
    auth = ("sk_test_x", "")

    older = requests.post(
        url, data=form, auth=auth, headers={"Stripe-Version": "2024-06-20"}, timeout=5
    )
    pinned = requests.post(
        url, data=form, auth=auth, headers={"Stripe-Version": "2026-10-28.endive"}, timeout=5
    )

    assert older.json()["payment_method_types"] == ["card"]
    assert pinned.json()["error"]["code"] == "parameter_unknown"


def test_a_product_shows_every_detail_it_was_given(shop: Shop) -> None:
    details: Any = {
        "description": "Hard cover",
        "images": ["http://127.0.0.1:1/a.png"],
        "marketing_features": [{"name": "Signed"}],
        "package_dimensions": {"height": 1.5, "length": 2, "weight": 3, "width": 4},
        "shippable": True,
        "statement_descriptor": "BOOKS",
        "tax_code": "txcd_10000000",
        "unit_label": "book",
        "url": "http://127.0.0.1:1/book",
    }
    products: Any = shop.client.v1.products

    made = products.create(
        {"name": "Book", "default_price_data": {"currency": "usd", "unit_amount": 900}, **details}
    )
    bare = products.create({"name": "Book"})
    updated = products.update(bare.id, details)
    emptied = products.update(bare.id, {"description": "", "package_dimensions": "", "images": ""})

    shown = made.to_dict()
    assert {name: shown[name] for name in details} == details
    assert {name: updated.to_dict()[name] for name in details} == details
    assert shop.client.v1.prices.retrieve(str(made.default_price)).unit_amount == 900
    assert (emptied.description, emptied.package_dimensions, emptied.images) == (None, None, [])


def test_products_and_prices_are_found_by_ids_and_lookup_keys(shop: Shop) -> None:
    v1: Any = shop.client.v1
    first, second = (v1.products.create({"name": name}) for name in ("One", "Two"))
    price: Any = {"currency": "usd", "unit_amount": 500, "product": first.id}
    v1.prices.create({**price, "lookup_key": "monthly", "recurring": {"interval": "month"}})
    moved = v1.prices.create({**price, "lookup_key": "monthly", "transfer_lookup_key": True})

    found = v1.products.list({"ids": [second.id]}).data
    by_key = v1.prices.list({"lookup_keys": ["monthly"]}).data
    by_interval = v1.prices.list({"recurring": {"interval": "month"}}).data

    assert [each.id for each in found] == [second.id]
    assert [each.id for each in by_key] == [moved.id]
    assert [each.lookup_key for each in by_interval] == [None]
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        v1.prices.create({**price, "lookup_key": "monthly"})


def test_a_customer_shows_every_detail_it_was_given(shop: Shop) -> None:
    address = {
        "city": "Wien",
        "country": "AT",
        "line1": "Ring 1",
        "line2": None,
        "postal_code": "1010",
        "state": None,
    }
    details: Any = {
        "address": {name: value for name, value in address.items() if value},
        "balance": -500,
        "business_name": "Books Ltd",
        "individual_name": "Jenny Rosen",
        "invoice_prefix": "ABCD",
        "next_invoice_sequence": 7,
        "preferred_locales": ["de", "en"],
        "shipping": {"name": "Jenny", "phone": "+431", "address": {"line1": "Ring 1"}},
        "tax_exempt": "reverse",
    }
    customers: Any = shop.client.v1.customers

    made = customers.create(details).to_dict()
    emptied = customers.update(made["id"], {"address": "", "email": "", "shipping": ""})

    plain = {name: value for name, value in details.items() if name not in {"address", "shipping"}}
    assert {name: made[name] for name in plain} == plain
    assert made["address"] == address
    assert made["shipping"]["address"]["line1"] == "Ring 1"
    assert (emptied.address, emptied.email, emptied.shipping) == (None, None, None)


def test_an_unpaid_intent_changes_its_amount_and_method_and_a_paid_one_does_not(
    shop: Shop,
) -> None:
    intents: Any = shop.client.v1.payment_intents
    made = intents.create({**INTENT, "automatic_payment_methods": {"enabled": True}})

    changed = intents.update(
        made.id,
        {
            "amount": 3000,
            "setup_future_usage": "off_session",
            "payment_method_data": {"type": "card", "card": {"token": "tok_visa"}},
            "payment_method_options": {"card": {"request_three_d_secure": "any"}},
            "shipping": {"name": "Jenny", "address": {"line1": "Ring 1"}},
        },
    )
    paid = intents.confirm(made.id, {"return_url": "http://127.0.0.1:1/back"})

    automatic = made.automatic_payment_methods
    assert automatic is not None
    assert (automatic.enabled, automatic.allow_redirects) == (True, "always")
    assert (changed.amount, changed.status) == (3000, "requires_confirmation")
    assert changed.setup_future_usage == "off_session"
    assert changed.to_dict()["payment_method_options"]["card"]["request_three_d_secure"] == "any"
    assert (paid.status, paid.amount_received) == ("succeeded", 3000)
    with pytest.raises(stripe.InvalidRequestError, match="amount could not be updated"):
        intents.update(made.id, {"amount": 4000})


@pytest.mark.parametrize("param", ["off_session", "error_on_requires_action"])
def test_a_card_that_needs_the_customer_is_declined_without_one(shop: Shop, param: str) -> None:
    params: Any = {
        **INTENT,
        "payment_method_data": {"type": "card", "card": {"number": "4000002500003155"}},
        "payment_method_types": ["card"],
        "confirm": True,
        param: True,
    }

    with pytest.raises(stripe.CardError) as decline:
        shop.client.v1.payment_intents.create(params)

    assert decline.value.code == "authentication_required"


def test_a_payment_method_of_another_customer_is_refused(shop: Shop) -> None:
    v1: Any = shop.client.v1
    owner = v1.customers.create({"payment_method": "pm_card_visa"})
    saved = v1.payment_methods.list({"customer": owner.id, "type": "card"}).data[0]

    with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer"):
        v1.payment_intents.create({**INTENT, "payment_method": saved.id})


def test_a_session_refuses_parameters_that_exclude_each_other(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({"email": "a@example.com"}).id
    line = {"price": "price_sandbox_premium", "quantity": 1}
    recurring = price_data(recurring={"interval": "month"})["line_items"]

    with pytest.raises(stripe.InvalidRequestError, match="customer, customer_creation"):
        shop.session(customer=customer, customer_creation="always")
    with pytest.raises(stripe.InvalidRequestError, match="customer, customer_email"):
        shop.session(customer=customer, customer_email="a@example.com")
    with pytest.raises(stripe.InvalidRequestError, match="passed a recurring price"):
        shop.session(line_items=recurring)
    with pytest.raises(stripe.InvalidRequestError, match="\\[price\\], "):
        shop.session(line_items=[{**line, **price_data()["line_items"][0]}])
