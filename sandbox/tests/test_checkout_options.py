"""Checkout as shops use it: codes, taxes, shipping, collected data, extras, saved cards, recovery.

Stripe docs: https://docs.stripe.com/payments/checkout/customization
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
import stripe
from stripe.checkout import Session

from sandbox.json_types import JsonObject
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

VIENNA = {
    "billingCountry": "AT",
    "billingAddressLine1": "Ring 1",
    "billingLocality": "Wien",
    "billingPostalCode": "1010",
}


def code(shop: Shop, text: str, **params: Any) -> stripe.PromotionCode:
    coupon = shop.client.v1.coupons.create({"percent_off": 20, "duration": "once"})
    given: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": text, **params}
    return shop.client.v1.promotion_codes.create(given)


def page(session: Session) -> str:
    return requests.get(str(session.url), timeout=5).text


def stored(shop: Shop, session: Session, *expand: str) -> Any:
    paths: Any = {"expand": list(expand)}
    return shop.client.v1.checkout.sessions.retrieve(session.id, paths)


def charge_of(shop: Shop, session: Session) -> JsonObject:
    intent = shop.sandbox.object(shop.sandbox.object(session.id)["payment_intent"])
    return shop.sandbox.object(intent["latest_charge"])


def refusal(shop: Shop, **params: Any) -> str:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.session(**params)
    return str(refused.value.user_message)


def test_a_promotion_code_is_applied_and_redeemed(shop: Shop) -> None:
    made = code(shop, "SPRING", max_redemptions=1)
    session = shop.session(amount=1000, allow_promotion_codes=True)

    applied = shop.submit(session, action="apply", promotionCode="spring")
    open_session = stored(shop, session)
    paid = shop.submit(session)

    assert (applied.status_code, paid.status_code) == (200, 303)
    assert "A discount is applied." in applied.text
    assert open_session.amount_total == 800
    assert open_session.discounts[0].promotion_code == made.id
    assert charge_of(shop, session)["amount"] == 800
    used = shop.client.v1.promotion_codes.retrieve(made.id)
    assert (used.times_redeemed, used.active) == (1, False)


def test_a_discount_can_be_removed_again(shop: Shop) -> None:
    code(shop, "SPRING")
    session = shop.session(amount=1000, allow_promotion_codes=True)

    shop.submit(session, action="apply", promotionCode="SPRING")
    removed = shop.submit(session, action="remove")

    assert "Promotion code" in removed.text
    assert (stored(shop, session).amount_total, stored(shop, session).discounts) == (1000, [])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"code": "OTHER"}, "This code is invalid."),
        ({"restrictions": {"minimum_amount": 5000, "minimum_amount_currency": "usd"}}, "$50.00"),
        ({"active": False}, "This code is invalid."),
    ],
)
def test_a_code_that_does_not_fit_is_refused_on_the_page(
    shop: Shop, params: dict[str, Any], message: str
) -> None:
    code(shop, **{"text": params.pop("code", "SPRING"), **params})
    session = shop.session(amount=1000, allow_promotion_codes=True)

    refused = shop.submit(session, action="apply", promotionCode="SPRING")

    assert refused.status_code == 400
    assert message in refused.text
    assert stored(shop, session).amount_total == 1000


def test_a_code_is_only_taken_where_it_is_allowed(shop: Shop) -> None:
    code(shop, "SPRING")

    refused = shop.submit(shop.session(), action="apply", promotionCode="SPRING")

    assert "takes no promotion codes" in refused.text
    discounts = [{"promotion_code": code(shop, "SUMMER").id}]
    message = refusal(shop, allow_promotion_codes=True, discounts=discounts)
    assert (
        message == "You may only specify one of these parameters: allow_promotion_codes, discounts."
    )


def test_a_coupon_of_one_product_leaves_the_others_alone(shop: Shop) -> None:
    v1: Any = shop.client.v1
    products = [v1.products.create({"name": name}).id for name in ("Book", "Pen")]
    coupon = v1.coupons.create({"percent_off": 50, "applies_to": {"products": products[:1]}})
    items = [
        {"price_data": {"currency": "usd", "unit_amount": 1000, "product": each}, "quantity": 1}
        for each in products
    ]

    session = shop.session(
        line_items=items, discounts=[{"coupon": coupon.id}], expand=["line_items"]
    )

    assert session.line_items is not None
    assert [each.amount_discount for each in session.line_items.data] == [500, 0]
    assert session.amount_total == 1500


def test_an_expired_coupon_is_refused(shop: Shop) -> None:
    soon = shop.sandbox.events("price.created")
    now = soon[-1]["created"] if soon else shop.session().created
    coupon = shop.client.v1.coupons.create({"percent_off": 50, "redeem_by": now + 60})

    shop.sandbox.advance_clock(120)

    assert "is expired" in refusal(shop, discounts=[{"coupon": coupon.id}])


def test_automatic_tax_is_added_once_the_address_is_known(shop: Shop) -> None:
    session = shop.session(
        amount=1000, automatic_tax={"enabled": True}, billing_address_collection="required"
    )
    before = session.automatic_tax

    updated = shop.submit(session, action="update", **VIENNA)
    paid = shop.submit(session, **VIENNA)

    assert (before.status, session.amount_total) == ("requires_location_inputs", 1000)
    assert "$12.00" in updated.text
    assert paid.status_code == 303
    whole = stored(shop, session, "line_items.data.taxes", "total_details.breakdown")
    assert (whole.amount_subtotal, whole.amount_total) == (1000, 1200)
    assert (whole.automatic_tax.status, whole.automatic_tax.provider) == ("complete", "stripe")
    (tax,) = whole.line_items.data[0].taxes
    assert (tax.amount, tax.taxable_amount, tax.taxability_reason) == (200, 1000, "standard_rated")
    assert (tax.rate.percentage, tax.rate.country, tax.rate.tax_type) == (20.0, "AT", "vat")
    assert whole.total_details.breakdown.taxes[0].amount == 200
    assert charge_of(shop, session)["amount"] == 1200


def test_a_price_that_includes_its_tax_keeps_its_total(shop: Shop) -> None:
    data = {
        "currency": "eur",
        "unit_amount": 1200,
        "product_data": {"name": "Book"},
        "tax_behavior": "inclusive",
    }
    session = shop.session(
        line_items=[{"price_data": data, "quantity": 1}], automatic_tax={"enabled": True}
    )

    shop.submit(session, paymentMethod="card", **VIENNA)

    paid = stored(shop, session)
    assert (paid.amount_total, paid.total_details.amount_tax) == (1200, 200)


def test_a_customers_address_and_exemption_decide_the_tax(shop: Shop) -> None:
    address = {"country": "AT", "line1": "Ring 1"}
    customers: Any = shop.client.v1.customers
    known = customers.create({"address": address}).id
    exempt = customers.create({"address": address, "tax_exempt": "exempt"}).id
    unknown = customers.create().id
    tax = {"enabled": True}

    assert shop.session(amount=1000, customer=known, automatic_tax=tax).amount_total == 1200
    assert shop.session(amount=1000, customer=exempt, automatic_tax=tax).amount_total == 1000
    assert "valid address on the Customer" in refusal(shop, customer=unknown, automatic_tax=tax)


def test_a_total_that_changed_is_shown_before_it_is_paid(shop: Shop) -> None:
    session = shop.session(amount=1000, automatic_tax={"enabled": True})

    shown = shop.submit(session, expectedAmount="1000", billingCountry="AT")
    paid = shop.submit(session, expectedAmount="1200", billingCountry="AT")

    assert "The total has changed." in shown.text
    assert (shown.status_code, paid.status_code) == (200, 303)


def test_shipping_is_chosen_addressed_and_charged(shop: Shop) -> None:
    rates: Any = shop.client.v1.shipping_rates
    amount = {"amount": 500, "currency": "usd"}
    slow = rates.create(
        {
            "display_name": "Slow",
            "type": "fixed_amount",
            "fixed_amount": amount,
            "delivery_estimate": {"maximum": {"unit": "business_day", "value": 5}},
        }
    )
    fast = {
        "display_name": "Fast",
        "type": "fixed_amount",
        "fixed_amount": {**amount, "amount": 900},
    }
    session = shop.session(
        amount=1000,
        phone_number_collection={"enabled": True},
        shipping_address_collection={"allowed_countries": ["AT", "DE"]},
        shipping_options=[{"shipping_rate": slow.id}, {"shipping_rate_data": fast}],
    )
    fields = {
        "shippingName": "Jenny Rosen",
        "shippingCountry": "AT",
        "shippingAddressLine1": "Ring 1",
        "shippingPostalCode": "1010",
        "shippingLocality": "Wien",
        "phoneNumber": "+43 660 12345",
    }
    choice = str(session.to_dict()["shipping_options"][1]["shipping_rate"])

    incomplete = shop.submit(session)
    elsewhere = shop.submit(session, **{**fields, "shippingCountry": "FR"})
    paid = shop.submit(session, shippingOption=choice, **fields)

    assert session.amount_total == 1500
    assert "Your address is incomplete." in incomplete.text
    assert "Your phone number is incomplete." in incomplete.text
    assert "We do not ship to this country." in elsewhere.text
    assert paid.status_code == 303
    whole = stored(shop, session, "shipping_cost.shipping_rate")
    assert (whole.amount_total, whole.total_details.amount_shipping) == (1900, 900)
    assert whole.shipping_cost.shipping_rate.display_name == "Fast"
    details = whole.collected_information.shipping_details
    assert (details.name, details.address.country) == ("Jenny Rosen", "AT")
    assert whole.customer_details.phone == "+43 660 12345"
    shipping = charge_of(shop, session)["shipping"]
    assert (shipping["name"], shipping["phone"]) == ("Jenny Rosen", "+43 660 12345")
    assert shipping["address"]["postal_code"] == "1010"


def test_shipping_rates_are_listed_and_switched_off(shop: Shop) -> None:
    rates: Any = shop.client.v1.shipping_rates
    amount = {"amount": 500, "currency": "eur"}
    made = rates.create({"display_name": "Post", "fixed_amount": amount})

    listed = rates.list({"currency": "eur", "active": True}).data
    rates.update(made.id, {"active": False, "metadata": {"a": "b"}})

    assert [each.id for each in listed] == [made.id]
    assert rates.list({"active": True}).data == []
    message = refusal(shop, currency="eur", shipping_options=[{"shipping_rate": made.id}])
    assert "same currency" in message or "not active" in message


def test_custom_fields_are_asked_for_checked_and_shown(shop: Shop) -> None:
    label = {"type": "custom", "custom": "Engraving"}
    size = {"type": "custom", "custom": "Size"}
    options = [{"label": "Small", "value": "s"}, {"label": "Large", "value": "l"}]
    session = shop.session(
        custom_fields=[
            {"key": "engraving", "label": label, "type": "text", "text": {"maximum_length": 5}},
            {"key": "size", "label": size, "type": "dropdown", "dropdown": {"options": options}},
            {"key": "age", "label": size, "type": "numeric", "optional": True},
        ]
    )
    choice = {"custom-size": "l"}

    missing = shop.submit(session, **choice)
    overlong = shop.submit(session, **choice, **{"custom-engraving": "too long"})
    no_number = shop.submit(session, **choice, **{"custom-engraving": "Jo", "custom-age": "old"})
    paid = shop.submit(session, **choice, **{"custom-engraving": "Jo"})

    assert "This field is required." in missing.text
    assert "Enter at most 5 characters." in overlong.text
    assert "Only digits are allowed." in no_number.text
    assert paid.status_code == 303
    fields = stored(shop, session).to_dict()["custom_fields"]
    assert [each[each["type"]]["value"] for each in fields] == ["Jo", "l", None]
    event = shop.sandbox.events("checkout.session.completed")[0]["data"]["object"]
    assert event["custom_fields"] == fields


def test_wrong_custom_fields_are_refused(shop: Shop) -> None:
    label = {"type": "custom", "custom": "Name"}
    field: Any = {"key": "a", "label": label, "type": "text"}

    assert "up to 3" in refusal(shop, custom_fields=[{**field, "key": f"a{i}"} for i in range(4)])
    assert "unique" in refusal(shop, custom_fields=[field, field])
    assert "alphanumeric" in refusal(shop, custom_fields=[{**field, "key": "a b"}])
    assert "1 to 200 options" in refusal(shop, custom_fields=[{**field, "type": "dropdown"}])


def test_consent_is_asked_for_and_shown(shop: Shop) -> None:
    session = shop.session(
        consent_collection={"promotions": "auto", "terms_of_service": "required"},
        custom_text={
            "submit": {"message": "We ship on Mondays."},
            "terms_of_service_acceptance": {"message": "I agree to everything."},
        },
    )

    shown = page(session)
    refused = shop.submit(session)
    shop.submit(session, termsOfServiceConsentCheckbox="on", promotionsConsent="on")

    assert "We ship on Mondays." in shown
    assert "I agree to everything." in shown
    assert "Please accept the terms of service." in refused.text
    consent = stored(shop, session).consent
    assert (consent.promotions, consent.terms_of_service) == ("opt_in", "accepted")


def test_names_and_tax_ids_are_collected(shop: Shop) -> None:
    session = shop.session(
        name_collection={
            "business": {"enabled": True},
            "individual": {"enabled": True, "optional": True},
        },
        tax_id_collection={"enabled": True, "required": "if_supported"},
    )

    refused = shop.submit(session, **VIENNA)
    shop.submit(session, businessName="Books Ltd", taxId="ATU12345678", **VIENNA)

    assert "Your business name is required." in refused.text
    assert "Your tax ID is required." in refused.text
    paid = stored(shop, session)
    assert paid.customer_details.business_name == "Books Ltd"
    assert paid.customer_details.to_dict()["tax_ids"] == [
        {"type": "eu_vat", "value": "ATU12345678"}
    ]
    assert paid.collected_information.business_name == "Books Ltd"


def test_a_quantity_is_changed_within_its_bounds(shop: Shop) -> None:
    price_data = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Pen"}}
    bounds = {"enabled": True, "minimum": 1, "maximum": 10}
    item = {"price_data": price_data, "quantity": 2, "adjustable_quantity": bounds}
    session = shop.session(line_items=[item], expand=["line_items"])
    assert session.line_items is not None
    name = f"quantity-{session.line_items.data[0].id}"

    updated = shop.submit(session, action="update", **{name: "5"})
    refused = shop.submit(session, action="update", **{name: "11"})

    assert "$25.00" in updated.text
    assert "This quantity is not available." in refused.text
    whole = stored(shop, session, "line_items")
    assert (whole.line_items.data[0].quantity, whole.amount_total) == (5, 2500)


def test_an_optional_item_is_added_and_left_out_again(shop: Shop) -> None:
    v1: Any = shop.client.v1
    product = v1.products.create({"name": "Wrapping"})
    extra = v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 300})
    session = shop.session(amount=1000, optional_items=[{"price": extra.id, "quantity": 1}])

    added = shop.submit(session, action="update", optionalItems="shown", **{"optional-0": "on"})
    total = stored(shop, session).amount_total
    shop.submit(session, action="update", optionalItems="shown")

    assert "Add Wrapping for $3.00" in page(session)
    assert "$13.00" in added.text
    assert (total, stored(shop, session).amount_total) == (1300, 1000)
    assert session.to_dict()["optional_items"] == [
        {"adjustable_quantity": None, "price": extra.id, "quantity": 1}
    ]


def test_a_customers_data_is_updated_from_the_page(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({"name": "Old Name"}).id
    session = shop.session(
        customer=customer,
        billing_address_collection="required",
        customer_update={"address": "auto", "name": "auto"},
    )

    shop.submit(session, **VIENNA)

    saved: Any = shop.client.v1.customers.retrieve(customer)
    assert (saved.name, saved.address.city) == ("Test Customer", "Wien")
    assert len(shop.sandbox.events("customer.updated")) == 1
    assert "customer" in refusal(shop, customer_update={"name": "auto"})


def test_a_card_is_saved_and_used_again(shop: Shop) -> None:
    customer = shop.client.v1.customers.create().id
    options: Any = {"payment_method_save": "enabled"}
    first = shop.session(customer=customer, saved_payment_method_options=options)
    shop.submit(first, savePaymentMethod="on")
    second = shop.session(customer=customer, saved_payment_method_options=options)
    shown = page(second)
    saved = re.findall(r'value="(pm_\w+)"', shown)

    paid = requests.post(
        str(second.url),
        data={"email": "a@example.com", "savedMethod": saved[0]},
        allow_redirects=False,
        timeout=5,
    )

    assert "Visa ending in 4242" in shown
    assert paid.status_code == 303
    assert charge_of(shop, second)["payment_method"] == saved[0]
    assert shop.sandbox.object(saved[0])["allow_redisplay"] == "always"


def test_a_card_that_is_not_saved_for_reuse_is_not_shown(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({"payment_method": "pm_card_visa"}).id

    assert "Visa ending" not in page(shop.session(customer=customer))


def test_the_button_says_what_the_shop_asks_for(shop: Shop) -> None:
    branding: Any = {"display_name": "Books & More"}
    session = shop.session(amount=1000, submit_type="donate", branding_settings=branding)

    shown = page(session)

    assert "Donate $10.00" in shown
    assert "<h1>Books &amp; More</h1>" in shown
    assert session.to_dict()["branding_settings"]["display_name"] == "Books & More"


def test_an_authorized_session_is_complete_and_unpaid_until_it_is_captured(shop: Shop) -> None:
    session = shop.session(payment_intent_data={"capture_method": "manual"})

    shop.submit(session)

    paid = stored(shop, session, "payment_intent")
    assert (paid.status, paid.payment_status) == ("complete", "unpaid")
    assert paid.payment_intent.status == "requires_capture"


def test_what_the_page_collects_survives_3d_secure(shop: Shop) -> None:
    session = shop.session(phone_number_collection={"enabled": True})

    shop.submit(session, cardNumber="4000002500003155", phoneNumber="+4366012345")
    shop.sandbox.authenticate(session.id)

    assert stored(shop, session).customer_details.phone == "+4366012345"


def test_the_harness_fills_in_what_a_session_asks_for(shop: Shop) -> None:
    label = {"type": "custom", "custom": "Engraving"}
    session = shop.session(
        phone_number_collection={"enabled": True},
        shipping_address_collection={"allowed_countries": ["DE"]},
        custom_fields=[{"key": "engraving", "label": label, "type": "text"}],
        consent_collection={"terms_of_service": "required"},
    )

    assert shop.sandbox.pay(session.id).status == "succeeded"

    paid = stored(shop, session)
    assert paid.customer_details.phone == "+15555550100"
    assert paid.collected_information.shipping_details.address.country == "DE"
    assert paid.custom_fields[0].text.value == "1"
    assert paid.consent.terms_of_service == "accepted"


def test_a_paid_invoice_is_created_with_its_page(shop: Shop) -> None:
    coupon = shop.client.v1.coupons.create({"amount_off": 200, "currency": "usd"})
    data = {
        "description": "Thanks for your order",
        "footer": "Books Ltd",
        "custom_fields": [{"name": "Order", "value": "17"}],
        "metadata": {"order": "17"},
    }
    session = shop.session(
        amount=1000,
        discounts=[{"coupon": coupon.id}],
        automatic_tax={"enabled": True},
        invoice_creation={"enabled": True, "invoice_data": data},
    )

    shop.submit(session, billingCountry="AT")
    shop.sandbox.wait_idle()

    invoice = stored(shop, session, "invoice").invoice
    assert (invoice.status, invoice.total, invoice.amount_remaining) == ("paid", 960, 0)
    assert (invoice.total_taxes[0].amount, invoice.total_discount_amounts[0].amount) == (160, 200)
    assert invoice.lines.data[0].amount == 1000
    assert invoice.metadata.to_dict() == {"order": "17"}
    assert shop.sandbox.object(session.id)["customer"] == invoice.customer
    types = [event["type"] for event in shop.sandbox.events() if "invoice" in event["type"]]
    assert types == [
        f"invoice.{each}" for each in ("created", "finalized", "paid", "payment_succeeded")
    ]
    text = requests.get(invoice.hosted_invoice_url, timeout=5).text
    for shown in ("$9.60", "Order", "17", "Thanks for your order", "Books Ltd", "Receipt"):
        assert shown in text
    listed = shop.client.v1.invoices.list({"customer": str(invoice.customer)}).data
    assert [each.id for each in listed] == [invoice.id]


def test_a_receipt_shows_what_was_paid(shop: Shop) -> None:
    session = shop.session(amount=1000)
    shop.submit(session)
    shop.sandbox.wait_idle()

    text = requests.get(charge_of(shop, session)["receipt_url"], timeout=5).text

    for shown in ("$10.00", "Credits", "Visa ending in 4242", "customer@example.com"):
        assert shown in text


def test_a_session_paid_later_is_invoiced_when_it_is_paid(shop: Shop) -> None:
    session = shop.session(invoice_creation={"enabled": True})

    shop.sandbox.pay_by_debit(session.id)
    shop.sandbox.wait_idle()

    kinds = ("completed", "async_payment_succeeded")
    invoices = [
        shop.sandbox.events(f"checkout.session.{kind}")[0]["data"]["object"]["invoice"]
        for kind in kinds
    ]
    assert invoices[0] is None
    assert str(invoices[1]).startswith("in_")


def test_an_expired_session_is_recovered_by_its_link(shop: Shop) -> None:
    recovery: Any = {"recovery": {"enabled": True, "allow_promotion_codes": True}}
    session = shop.session(amount=1000, after_expiration=recovery)

    shop.client.v1.checkout.sessions.expire(session.id)
    event = shop.sandbox.events("checkout.session.expired")[0]["data"]["object"]
    link = event["after_expiration"]["recovery"]
    visit = requests.get(link["url"], allow_redirects=False, timeout=5)

    assert session.after_expiration is not None
    assert session.after_expiration.to_dict()["recovery"]["url"] is None
    assert link["expires_at"] >= session.created + 30 * 86400
    assert visit.status_code == 303
    (renewed, _) = shop.client.v1.checkout.sessions.list().data
    assert renewed.recovered_from == session.id
    assert (renewed.amount_total, renewed.allow_promotion_codes) == (1000, True)
    assert str(renewed.url) == visit.headers["Location"]
    assert shop.submit(renewed).status_code == 303


def test_a_recovery_link_ends_after_thirty_days(shop: Shop) -> None:
    session = shop.session(after_expiration={"recovery": {"enabled": True}})
    shop.client.v1.checkout.sessions.expire(session.id)
    url = shop.sandbox.object(session.id)["after_expiration"]["recovery"]["url"]

    shop.sandbox.advance_clock(31 * 86400)

    assert requests.get(url, allow_redirects=False, timeout=5).status_code == 410


def test_a_customer_pays_in_the_local_currency(shop: Shop) -> None:
    session = shop.session(amount=1000, adaptive_pricing={"enabled": True})

    shown = shop.submit(session, action="update", billingCountry="AT")
    paid = shop.submit(session, billingCountry="AT", presentmentCurrency="eur")

    assert "€9.20" in shown.text
    assert paid.status_code == 303
    presented = {"presentment_amount": 920, "presentment_currency": "eur"}
    whole = stored(shop, session, "payment_intent")
    assert (whole.amount_total, whole.currency) == (1000, "usd")
    assert whole.presentment_details.to_dict() == presented
    assert whole.payment_intent.presentment_details.to_dict() == presented
    assert charge_of(shop, session)["presentment_details"] == presented


def test_a_currency_that_is_not_offered_is_not_paid_in(shop: Shop) -> None:
    session = shop.session(amount=1000)

    shop.submit(session, billingCountry="AT", presentmentCurrency="eur")

    assert "presentment_details" not in shop.sandbox.object(session.id)


@pytest.mark.parametrize(
    ("locale", "header", "language", "button"),
    [
        ("de", "", "de", "Zahlen"),
        ("fr", "", "fr", "Payer"),
        ("auto", "es-ES,es;q=0.9", "es", "Pagar"),
        ("auto", "", "en", "Pay $10.00"),
        ("ja", "", "en", "Pay $10.00"),
    ],
)
def test_the_page_speaks_the_sessions_language(
    shop: Shop, locale: Any, header: str, language: str, button: str
) -> None:
    session = shop.session(amount=1000, locale=locale)

    shown = requests.get(str(session.url), headers={"Accept-Language": header}, timeout=5).text

    assert f'<html lang="{language}">' in shown
    assert button in shown
