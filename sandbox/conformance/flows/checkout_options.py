"""Flows of Checkout's options: codes, taxes, shipping, collected data, invoices, recovery."""

from __future__ import annotations

from sandbox.conformance.client import Client
from sandbox.conformance.flows.catalog import PRICE
from sandbox.conformance.flows.checkout import create_session, pay, retrieve_all
from sandbox.conformance.flows.customers import create_customer
from sandbox.json_types import JsonObject

_SHIPPING = {
    "shippingName": "Jenny Rosen",
    "shippingCountry": "AT",
    "shippingAddressLine1": "Ring 1",
    "shippingLocality": "Wien",
    "shippingPostalCode": "1010",
    "phoneNumber": "+4366012345",
}
_LABEL = {"type": "custom", "custom": "Engraving"}
_CUSTOM_FIELDS = [
    {"key": "engraving", "label": _LABEL, "type": "text", "text": {"maximum_length": 9}},
    {"key": "age", "label": _LABEL, "type": "numeric", "optional": True},
    {
        "key": "size",
        "label": _LABEL,
        "type": "dropdown",
        "dropdown": {"options": [{"label": "Small", "value": "s"}], "default_value": "s"},
    },
]


def codes_and_taxes(client: Client) -> None:
    """A promotion code and automatic tax, with an invoice."""
    coupon = client.post("/v1/coupons", percent_off=25, duration="once", max_redemptions=9)
    client.post(
        "/v1/promotion_codes", promotion={"type": "coupon", "coupon": coupon["id"]}, code="AUTUMN"
    )
    session = create_session(
        client,
        allow_promotion_codes=True,
        automatic_tax={"enabled": True},
        tax_id_collection={"enabled": True},
        invoice_creation={
            "enabled": True,
            "invoice_data": {
                "custom_fields": [{"name": "Order", "value": "1"}],
                "rendering_options": {"amount_tax_display": "exclude_tax"},
            },
        },
    )
    client.submit(f"/c/pay/{session['id']}", action="apply", promotionCode="AUTUMN")
    path = f"/v1/checkout/sessions/{session['id']}"
    client.get(path, expand=["line_items", "total_details.breakdown"])
    pay(client, session, taxId="ATU12345678", businessName="Books Ltd")
    client.settle()
    retrieve_all(client, session)
    client.get(path, expand=["line_items.data.taxes", "total_details.breakdown", "invoice"])
    for invoice in client.get("/v1/invoices", limit=3)["data"]:
        client.get(f"/v1/invoices/{invoice['id']}", expand=["customer"])
        client.get(f"/v1/invoices/{invoice['id']}/lines")


def shipping(client: Client) -> None:
    """Shipping options and addresses, phone numbers and names."""
    amount = {"amount": 500, "currency": "usd"}
    days = {"unit": "business_day", "value": 3}
    estimate = {"minimum": days, "maximum": days}
    rate = client.post(
        "/v1/shipping_rates",
        display_name="Post",
        type="fixed_amount",
        fixed_amount=amount,
        delivery_estimate=estimate,
    )
    client.get(f"/v1/shipping_rates/{rate['id']}")
    client.get("/v1/shipping_rates", currency="usd")
    session = create_session(
        client,
        automatic_tax={"enabled": True},
        phone_number_collection={"enabled": True},
        name_collection={"individual": {"enabled": True, "optional": True}},
        shipping_address_collection={"allowed_countries": ["AT", "DE"]},
        shipping_options=[
            {"shipping_rate": rate["id"]},
            {"shipping_rate_data": {"display_name": "Courier", "fixed_amount": amount}},
        ],
        expand=["shipping_options.shipping_rate"],
    )
    pay(client, session, individualName="Jenny Rosen", **_SHIPPING)
    client.settle()
    retrieve_all(client, session)
    client.get(f"/v1/checkout/sessions/{session['id']}", expand=["shipping_cost.shipping_rate"])
    client.post(f"/v1/shipping_rates/{rate['id']}", active=False, metadata={"a": "b"})


def collected_data(client: Client) -> None:
    """Custom fields and texts, consent, quantities, optional items, branding, local currency."""
    session = create_session(
        client,
        line_items=[
            {"price": PRICE, "quantity": 1, "adjustable_quantity": {"enabled": True, "maximum": 9}}
        ],
        adaptive_pricing={"enabled": True},
        branding_settings={"display_name": "Books", "button_color": "#ff0000"},
        consent_collection={
            "promotions": "auto",
            "terms_of_service": "required",
            "payment_method_reuse_agreement": {"position": "auto"},
        },
        custom_fields=_CUSTOM_FIELDS,
        custom_text={"submit": {"message": "We ship on Mondays."}},
        optional_items=[{"price": PRICE, "quantity": 1}],
        origin_context="web",
        wallet_options={"link": {"display": "never"}},
    )
    pay(
        client,
        session,
        termsOfServiceConsentCheckbox="on",
        optionalItems="shown",
        presentmentCurrency="eur",
        **{"custom-engraving": "Jo", "custom-size": "s", "optional-0": "on"},
    )
    client.settle()
    retrieve_all(client, session)


def customers(client: Client) -> None:
    """A customer whose data and card are saved, and who pays with that card again."""
    customer = create_customer(client)
    options: JsonObject = {
        "customer": customer,
        "customer_update": {"address": "auto", "name": "auto", "shipping": "auto"},
        "saved_payment_method_options": {
            "allow_redisplay_filters": ["always"],
            "payment_method_save": "enabled",
        },
    }
    first = create_session(client, **options)
    pay(client, first, savePaymentMethod="on")
    client.settle()
    saved = client.get("/v1/payment_methods", customer=customer)["data"]
    second = create_session(client, **options)
    pay(client, second, savedMethod=saved[0]["id"])
    client.settle()
    retrieve_all(client, second)


def recovery(client: Client) -> None:
    """An expired session that is opened again by its link."""
    session = create_session(
        client, after_expiration={"recovery": {"enabled": True, "allow_promotion_codes": True}}
    )
    client.post(f"/v1/checkout/sessions/{session['id']}/expire")
    client.visit(f"/c/recover/{session['id']}")
    client.get("/v1/checkout/sessions", limit=2)
    client.settle()


FLOWS = [codes_and_taxes, shipping, collected_data, customers, recovery]
