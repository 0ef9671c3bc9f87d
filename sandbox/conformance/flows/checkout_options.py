"""Flows of Checkout's options: taxes, shipping, collected data, invoices, recovery, currencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.conformance.client import Client
from sandbox.conformance.flows.catalog import PRICE
from sandbox.conformance.flows.checkout import create_session, pay, retrieve_all
from sandbox.conformance.flows.customers import create_customer
from sandbox.json_types import JsonObject

_SHIPPING = {
    "shippingName": "Jenny Rosen",
    "shippingCountry": "AT",
    "shippingAddressLine1": "Ring 1",
    "shippingPostalCode": "1010",
    "shippingLocality": "Wien",
}


def _buy(client: Client, form: dict[str, str], **params: Any) -> JsonObject:
    session = create_session(client, **params)
    status = pay(client, session, **form)
    if status != 303:
        raise RuntimeError(f"the payment page answered {status} to {sorted(form)}")
    client.settle()
    return retrieve_all(client, session)


def taxes(client: Client) -> None:
    """Automatic tax, tax ids and an invoice with both."""
    paid = _buy(
        client,
        {"taxId": "ATU12345678", "businessName": "Books Ltd"},
        automatic_tax={"enabled": True},
        tax_id_collection={"enabled": True},
        billing_address_collection="required",
        invoice_creation={
            "enabled": True,
            "invoice_data": {
                "description": "Thanks",
                "footer": "Books Ltd",
                "custom_fields": [{"name": "Order", "value": "17"}],
                "metadata": {"order": "17"},
            },
        },
    )
    path = f"/v1/invoices/{paid['invoice']}"
    client.get(path, expand=["customer"])
    client.get(f"{path}/lines")
    client.get("/v1/invoices", limit=2)
    client.get(f"/v1/checkout/sessions/{paid['id']}", expand=["invoice", "line_items.data.taxes"])


def shipping(client: Client) -> None:
    """Shipping rates, one of which a customer chooses."""
    amount = {"amount": 500, "currency": "usd"}
    rate = client.post(
        "/v1/shipping_rates",
        display_name="Slow",
        type="fixed_amount",
        fixed_amount=amount,
        delivery_estimate={"maximum": {"unit": "business_day", "value": 5}},
    )
    client.get(f"/v1/shipping_rates/{rate['id']}")
    client.get("/v1/shipping_rates", active=True)
    data = {"display_name": "Fast", "type": "fixed_amount", "fixed_amount": amount}
    paid = _buy(
        client,
        {**_SHIPPING, "phoneNumber": "+43 660 12345"},
        phone_number_collection={"enabled": True},
        shipping_address_collection={"allowed_countries": ["AT", "DE"]},
        shipping_options=[{"shipping_rate": rate["id"]}, {"shipping_rate_data": data}],
    )
    client.get(f"/v1/checkout/sessions/{paid['id']}", expand=["shipping_cost.shipping_rate"])
    client.post(f"/v1/shipping_rates/{rate['id']}", active=False, metadata={"a": "b"})


def collected_data(client: Client) -> None:
    """Custom fields, consent, names and texts."""
    label = {"type": "custom", "custom": "Label"}
    options = [{"label": "Small", "value": "s"}, {"label": "Large", "value": "l"}]
    _buy(
        client,
        {
            "businessName": "Books Ltd",
            "custom-engraving": "Jo",
            "custom-size": "l",
            "promotionsConsent": "on",
            "termsOfServiceConsentCheckbox": "on",
        },
        custom_fields=[
            {"key": "engraving", "label": label, "type": "text"},
            {"key": "size", "label": label, "type": "dropdown", "dropdown": {"options": options}},
            {"key": "age", "label": label, "type": "numeric", "optional": True},
        ],
        custom_text={"submit": {"message": "We ship on Mondays."}},
        consent_collection={"promotions": "auto", "terms_of_service": "required"},
        name_collection={"business": {"enabled": True}},
        branding_settings={"display_name": "Books"},
        submit_type="donate",
    )


def orders_changed_on_the_page(client: Client) -> None:
    """A promotion code, an optional item and an adjustable quantity."""
    coupon = client.post("/v1/coupons", percent_off=20, duration="once")
    client.post(
        "/v1/promotion_codes", promotion={"type": "coupon", "coupon": coupon["id"]}, code="PAGE"
    )
    session = create_session(
        client,
        allow_promotion_codes=True,
        optional_items=[{"price": PRICE, "quantity": 1}],
        line_items=[{"price": PRICE, "quantity": 1, "adjustable_quantity": {"enabled": True}}],
    )
    path = f"/c/pay/{session['id']}"
    client.submit(path, action="apply", promotionCode="PAGE")
    client.submit(path, action="update", optionalItems="shown", **{"optional-0": "on"})
    retrieve_all(client, session)
    pay(client, session)
    client.settle()
    retrieve_all(client, session)


def customers_data(client: Client) -> None:
    """A customer's data that the page updates, and a card saved there."""
    _buy(
        client,
        {"savePaymentMethod": "on"},
        customer=create_customer(client),
        customer_update={"address": "auto", "name": "auto"},
        billing_address_collection="required",
        saved_payment_method_options={"payment_method_save": "enabled"},
    )


def recovery(client: Client) -> None:
    """An expired session with a link to a copy of it."""
    session = create_session(
        client, after_expiration={"recovery": {"enabled": True, "allow_promotion_codes": True}}
    )
    expired = client.post(f"/v1/checkout/sessions/{session['id']}/expire")
    client.visit(expired["after_expiration"]["recovery"]["url"])
    (renewed,) = client.get("/v1/checkout/sessions", limit=1)["data"]
    pay(client, renewed)
    client.settle()
    retrieve_all(client, renewed)


def local_currency(client: Client) -> None:
    """A payment in the customer's own currency, with manual capture beside it."""
    paid = _buy(client, {"presentmentCurrency": "eur"}, adaptive_pricing={"enabled": True})
    client.post("/v1/refunds", payment_intent=paid["payment_intent"]["id"], amount=500)
    client.settle()
    retrieve_all(client, paid)
    _buy(client, {}, payment_intent_data={"capture_method": "manual"})


FLOWS: list[Callable[[Client], None]] = [
    taxes,
    shipping,
    collected_data,
    orders_changed_on_the_page,
    customers_data,
    recovery,
    local_currency,
]
