"""Behaviour of Checkout Sessions and payment intents that integrations rely on.

Stripe docs: https://docs.stripe.com/api/checkout/sessions and
https://docs.stripe.com/api/payment_intents
"""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.json_types import JsonObject
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

RETURN_URL = "http://127.0.0.1:1/back"


def intent(shop: Shop, **params: Any) -> stripe.PaymentIntent:
    given: Any = {"amount": 2000, "currency": "usd", **params}
    return shop.client.v1.payment_intents.create(given)


def refusal(shop: Shop, **params: Any) -> stripe.StripeError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intent(shop, **params)
    return refused.value


def details(session: stripe.checkout.Session) -> JsonObject:
    assert session.customer_details is not None
    return session.customer_details.to_dict()


def charge_of(shop: Shop, session_id: str) -> JsonObject:
    intent_id = shop.sandbox.object(session_id)["payment_intent"]
    return shop.sandbox.object(shop.sandbox.object(intent_id)["latest_charge"])


def test_an_intent_takes_the_methods_of_the_dashboard_by_default(shop: Shop) -> None:
    made = intent(shop)

    assert made.automatic_payment_methods is not None
    assert made.automatic_payment_methods.to_dict() == {
        "allow_redirects": "always",
        "enabled": True,
    }
    assert made.payment_method_types == ["card", "us_bank_account"]


def test_an_intent_with_named_types_takes_those_only(shop: Shop) -> None:
    made = intent(shop, payment_method_types=["card"])

    assert made.automatic_payment_methods is None
    assert made.payment_method_types == ["card"]


def test_an_older_api_version_takes_cards_only_by_default(shop: Shop) -> None:
    response = requests.post(
        f"{shop.sandbox.url}/v1/payment_intents",
        data={"amount": "2000", "currency": "usd"},
        headers={"Authorization": "Bearer sk_test_old", "Stripe-Version": "2022-11-15"},
        timeout=5,
    )

    assert response.json()["automatic_payment_methods"] is None
    assert response.json()["payment_method_types"] == ["card"]


def test_a_confirmation_that_may_redirect_needs_a_return_url(shop: Shop) -> None:
    refused = refusal(shop, confirm=True, payment_method="pm_card_visa")

    assert "you must provide a `return_url`" in str(refused)
    assert shop.sandbox.events("charge.succeeded") == []


@pytest.mark.parametrize(
    "params",
    [
        {"return_url": RETURN_URL},
        {"payment_method_types": ["card"]},
        {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}},
    ],
    ids=["with a return URL", "with named types", "without redirects"],
)
def test_a_confirmation_succeeds(shop: Shop, params: JsonObject) -> None:
    made = intent(shop, confirm=True, payment_method="pm_card_visa", **params)

    assert made.status == "succeeded"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"currency": "zzz"}, "Invalid currency: zzz"),
        ({"payment_method_types": ["nonsense"]}, 'payment method type "nonsense" is invalid'),
        ({"payment_method_types": ["au_becs_debit"]}, "support the following currencies: aud"),
        (
            {"payment_method_types": ["klarna"]},
            "payment methods of type klarna, which this sandbox does not cover",
        ),
    ],
    ids=["an unknown currency", "an unknown type", "another currency", "an unsupported type"],
)
def test_an_impossible_intent_is_refused(shop: Shop, params: JsonObject, message: str) -> None:
    assert message in str(refusal(shop, **params))


def test_an_unpaid_intent_can_change_its_amount_and_a_paid_one_cannot(shop: Shop) -> None:
    intents = shop.client.v1.payment_intents
    customer = shop.client.v1.customers.create()
    made = intent(shop)

    changed = intents.update(made.id, {"amount": 2500, "currency": "eur", "customer": customer.id})
    intents.confirm(made.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL})

    assert (changed.amount, changed.currency, changed.customer) == (2500, "eur", customer.id)
    with pytest.raises(stripe.InvalidRequestError, match="has a status of succeeded"):
        intents.update(made.id, {"amount": 3000})


def test_missing_payments_are_named_as_stripe_names_them(shop: Shop) -> None:
    v1 = shop.client.v1

    with pytest.raises(stripe.InvalidRequestError, match="No such payment_intent: 'pi_x'"):
        v1.payment_intents.retrieve("pi_x")
    with pytest.raises(stripe.InvalidRequestError, match="No such PaymentMethod: 'pm_x'"):
        v1.payment_methods.retrieve("pm_x")


def test_a_new_session_has_the_fields_that_stripe_answers(shop: Shop) -> None:
    session = shop.session()

    assert "#" in str(session.url)
    assert session.discounts == []
    assert session.customer_creation == "if_required"
    assert session.customer_details is None
    assert session.payment_method_options is not None
    assert session.payment_method_options.to_dict() == {
        "card": {"request_three_d_secure": "automatic"}
    }


def test_an_open_session_shows_the_email_of_its_customer(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({"email": "me@example.com", "name": "Me"})

    session = shop.session(customer=customer.id)

    assert session.customer_creation is None
    assert details(session) == {
        "address": None,
        "business_name": None,
        "email": "me@example.com",
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def test_checkout_creates_a_customer_when_asked_to(shop: Shop) -> None:
    session = shop.session(customer_creation="always")

    shop.sandbox.pay(session.id, email="new@example.com", name="New Customer")

    paid = shop.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert isinstance(paid.customer, stripe.Customer)
    assert (paid.customer.email, paid.customer.name) == ("new@example.com", "New Customer")
    assert charge_of(shop, session.id)["customer"] == paid.customer.id
    (created,) = shop.sandbox.events("customer.created")
    assert created["data"]["object"]["id"] == paid.customer.id


def test_a_declined_card_does_not_create_a_second_customer(shop: Shop) -> None:
    session = shop.session(customer_creation="always")

    shop.sandbox.pay(session.id, "4000000000000002")
    declined = shop.sandbox.object(session.id)
    shop.sandbox.pay(session.id)

    assert declined["customer"] is None
    assert shop.sandbox.object(session.id)["customer"] is not None
    assert len(shop.sandbox.events("customer.created")) == 1


def test_a_free_order_can_create_a_customer_too(shop: Shop) -> None:
    coupon = shop.client.v1.coupons.create({"percent_off": 100})
    session = shop.session(customer_creation="always", discounts=[{"coupon": coupon.id}])

    shop.submit(session, email="free@example.com")

    customer = shop.sandbox.object(shop.sandbox.object(session.id)["customer"])
    assert customer["email"] == "free@example.com"


def test_setup_future_usage_saves_the_card_of_a_customer(shop: Shop) -> None:
    customer = shop.client.v1.customers.create()
    session = shop.session(
        customer=customer.id, payment_intent_data={"setup_future_usage": "off_session"}
    )

    shop.sandbox.pay(session.id)

    (attached,) = shop.sandbox.events("payment_method.attached")
    assert attached["data"]["object"]["customer"] == customer.id
    found = shop.client.v1.payment_methods.list({"customer": customer.id})
    assert [method.id for method in found.data] == [charge_of(shop, session.id)["payment_method"]]


def test_a_required_address_is_asked_for_and_collected(shop: Shop) -> None:
    session = shop.session(billing_address_collection="required")
    address = {
        "billingAddressLine1": "1 Street",
        "billingLocality": "Wien",
        "billingPostalCode": "1010",
        "billingCountry": "at",
    }

    page = requests.get(str(session.url), timeout=5)
    refused = shop.submit(session)
    accepted = shop.submit(session, **address)

    assert 'name="billingAddressLine1"' in page.text
    assert (refused.status_code, accepted.status_code) == (400, 303)
    assert "Your address is incomplete." in refused.text
    expected = {
        "city": "Wien",
        "country": "AT",
        "line1": "1 Street",
        "line2": None,
        "postal_code": "1010",
        "state": None,
    }
    assert shop.sandbox.object(session.id)["customer_details"]["address"] == expected
    assert charge_of(shop, session.id)["billing_details"]["address"] == expected


def test_a_card_payment_carries_the_country_at_least(shop: Shop) -> None:
    session = shop.session()

    shop.submit(session)

    assert shop.sandbox.object(session.id)["customer_details"]["address"]["country"] == "US"


def test_an_unknown_country_is_refused_on_the_page(shop: Shop) -> None:
    response = shop.submit(shop.session(), billingCountry="XX")

    assert response.status_code == 400
    assert "Your country is invalid." in response.text


def test_a_discount_is_split_over_the_line_items(shop: Shop) -> None:
    coupon = shop.client.v1.coupons.create({"percent_off": 50})
    data: Any = {"currency": "usd", "product_data": {"name": "Part"}}
    items = [
        {"price_data": {**data, "unit_amount": amount}, "quantity": 1} for amount in (333, 501, 999)
    ]

    session = shop.session(
        line_items=items,
        discounts=[{"coupon": coupon.id}],
        expand=[
            "line_items.data.discounts",
            "total_details.breakdown",
            "discounts.coupon",
        ],
    )

    assert session.line_items is not None
    lines = session.line_items.data
    assert sum(line.amount_discount for line in lines) == 917
    assert [line.amount_subtotal - line.amount_discount for line in lines] == [
        line.amount_total for line in lines
    ]
    whole = session.to_dict()
    assert whole["total_details"]["amount_discount"] == 917
    (discount,) = whole["total_details"]["breakdown"]["discounts"]
    assert discount["amount"] == 917
    assert discount["discount"]["source"] == {"coupon": coupon.id, "type": "coupon"}
    assert discount["discount"]["checkout_session"] == session.id
    assert whole["line_items"]["data"][0]["discounts"][0]["amount"] == lines[0].amount_discount
    assert whole["discounts"][0]["coupon"]["percent_off"] == 50
    assert whole["discounts"][0]["promotion_code"] is None


def test_a_session_can_be_discounted_by_a_promotion_code(shop: Shop) -> None:
    v1 = shop.client.v1
    coupon = v1.coupons.create({"amount_off": 100, "currency": "usd"})
    code = v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})

    session = shop.session(discounts=[{"promotion_code": code.id}])

    assert session.amount_total == 400
    assert [each.to_dict() for each in session.discounts or []] == [
        {"coupon": coupon.id, "promotion_code": code.id}
    ]
    v1.promotion_codes.update(code.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="not active"):
        shop.session(discounts=[{"promotion_code": code.id}])


def test_a_charge_tells_that_3d_secure_was_passed(shop: Shop) -> None:
    session = shop.session()
    shop.sandbox.pay(session.id, "4000002500003155")
    shop.sandbox.authenticate(session.id)

    card = charge_of(shop, session.id)["payment_method_details"]["card"]
    without = charge_of(shop, shop.paid()["id"])["payment_method_details"]["card"]

    assert card["three_d_secure"]["result"] == "authenticated"
    assert card["electronic_commerce_indicator"] == "05"
    assert without["three_d_secure"] is None


def test_the_failure_of_a_refund_can_be_expanded(shop: Shop) -> None:
    charge = charge_of(shop, shop.paid("4000000000005126")["id"])
    refunds = shop.client.v1.refunds
    path: Any = {"expand": ["failure_balance_transaction"]}

    given: Any = {"charge": charge["id"], **path}
    made = refunds.create(given)
    shop.sandbox.wait_idle()

    assert "failure_balance_transaction" not in made.to_dict()
    failed: Any = refunds.retrieve(made.id, path)
    assert failed.failure_balance_transaction.type == "refund_failure"


def test_a_refund_to_a_bank_is_pending_at_first(shop: Shop) -> None:
    session = shop.session()
    shop.sandbox.pay_by_debit(session.id)
    shop.sandbox.wait_idle()

    made = shop.sandbox.refund(charge_of(shop, session.id)["id"])
    shop.sandbox.wait_idle()

    assert made["status"] == "pending"
    assert made["destination_details"] == {"type": "us_bank_account"}
    assert shop.sandbox.object(made["id"])["status"] == "succeeded"
