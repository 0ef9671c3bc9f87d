"""Flows of Checkout Sessions and payment links: every way to pay, and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.conformance.client import Client
from sandbox.conformance.flows.catalog import PRICE
from sandbox.conformance.flows.customers import create_customer
from sandbox.json_types import JsonObject

CARDS = (
    "4242424242424242", "5555555555554444", "378282246310005", "4000000000000002",
    "4000000000009995", "4000000000009987", "4000000000009979", "4000000000000069",
    "4000000000000127", "4000000000000119", "4000000000000259", "4000000000002685",
    "4000000000001976", "4000000000007726", "4000000000005126",
)  # fmt: skip
_PAYER = {
    "cardExpiry": "12/34",
    "cardCvc": "123",
    "billingName": "Jenny Rosen",
    "email": "jenny@example.com",
    "billingAddressLine1": "1 Street",
    "billingLocality": "Wien",
    "billingPostalCode": "1010",
    "billingCountry": "AT",
}
_PAYMENT = "payment_intent.latest_charge.balance_transaction"
_EXPANDED = [
    "line_items", _PAYMENT, "payment_intent.payment_method", "customer",
    "line_items.data.price.product", "line_items.data.discounts", "total_details.breakdown",
]  # fmt: skip


def create_session(client: Client, **params: Any) -> JsonObject:
    """A session for the built-in price."""
    given: JsonObject = {
        "mode": "payment",
        "line_items": [{"price": PRICE, "quantity": 1}],
        "success_url": "http://127.0.0.1:9/ok?s={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:9/no",
        "metadata": {"order": "1"},
        "payment_intent_data": {"metadata": {"order": "1"}, "description": "An order"},
        **params,
    }
    return client.post("/v1/checkout/sessions", **given)


def pay(client: Client, session: JsonObject, card: str = CARDS[0], **form: str) -> int:
    """Submit the payment page with a card."""
    return client.submit(
        f"/c/pay/{session['id']}", paymentMethod="card", cardNumber=card, **{**_PAYER, **form}
    )


def retrieve_all(client: Client, session: JsonObject) -> JsonObject:
    """Retrieve all that belongs to a session, with and without expansion."""
    path = f"/v1/checkout/sessions/{session['id']}"
    client.get(path)
    client.get(f"{path}/line_items")
    whole = client.get(path, expand=_EXPANDED)
    if intent := whole.get("payment_intent"):
        client.get("/v1/checkout/sessions", payment_intent=intent["id"])
        _retrieve_payment(client, intent["id"])
    return whole


def _retrieve_payment(client: Client, intent: str) -> None:
    path = f"/v1/payment_intents/{intent}"
    client.get(path)
    client.get(path, expand=["latest_charge", "payment_method", "customer"])
    for charge in client.get("/v1/charges", payment_intent=intent)["data"]:
        client.get(f"/v1/charges/{charge['id']}")
        client.get(
            f"/v1/charges/{charge['id']}",
            expand=["balance_transaction", "payment_intent", "refunds", "customer"],
        )
        if transaction := charge["balance_transaction"]:
            client.get(f"/v1/balance_transactions/{transaction}", expand=["source"])
        client.get(f"/v1/payment_methods/{charge['payment_method']}")
    for refund in client.get("/v1/refunds", payment_intent=intent)["data"]:
        client.get(
            f"/v1/refunds/{refund['id']}",
            expand=["balance_transaction", "charge", "failure_balance_transaction"],
        )
    for dispute in client.get("/v1/disputes", payment_intent=intent)["data"]:
        client.get(f"/v1/disputes/{dispute['id']}", expand=["charge", "payment_intent"])


def cards(client: Client) -> None:
    """Pay with every card; after a decline with another one."""
    for number in CARDS:
        session = create_session(client)
        status = pay(client, session, number)
        client.settle()
        retrieve_all(client, session)
        if status == 402:
            pay(client, session)
            client.settle()
            retrieve_all(client, session)


def three_d_secure(client: Client) -> None:
    """Pass and fail 3D Secure."""
    for number, result in (
        ("4000002500003155", "complete"),
        ("4000002500003155", "fail"),
        ("4000002760003184", "complete"),
        ("4000008400001629", "complete"),
    ):
        session = create_session(client)
        pay(client, session, number)
        retrieve_all(client, session)
        client.submit(f"/c/pay/{session['id']}/authenticate", result=result)
        client.settle()
        retrieve_all(client, session)


def bank_debits(client: Client) -> None:
    """Bank debits in both currencies that succeed, with a refund, and that fail."""
    data = {"currency": "eur", "unit_amount": 1200, "product_data": {"name": "Euro"}}
    euros = {"line_items": [{"price_data": data, "quantity": 2}]}
    for form, params in (
        ({"accountNumber": "000123456789"}, {}),
        ({"accountNumber": "000222222227"}, {}),
        ({"iban": "AT611904300234573201"}, euros),
        ({"iban": "AT861904300235473202"}, euros),
    ):
        session = create_session(client, **params)
        client.submit(f"/c/pay/{session['id']}", paymentMethod="debit", **{**_PAYER, **form})
        retrieve_all(client, session)
        client.settle()
        whole = retrieve_all(client, session)
        if whole["payment_status"] == "paid":
            client.post("/v1/refunds", payment_intent=whole["payment_intent"]["id"], amount=100)
            client.settle()
            retrieve_all(client, session)


def unpaid_sessions(client: Client) -> None:
    """Sessions that are updated, expire by request, with a failed payment, and in time."""
    customer = create_customer(client)
    session = create_session(
        client, customer=customer, client_reference_id="ref", locale="de", submit_type="pay"
    )
    path = f"/v1/checkout/sessions/{session['id']}"
    client.post(path, metadata={"x": "y"})
    client.post(f"{path}/expire", expand=["customer"])
    declined = create_session(client)
    pay(client, declined, "4000000000000002")
    client.post(f"/v1/checkout/sessions/{declined['id']}/expire")
    retrieve_all(client, declined)
    now = client.post("/v1/customers")["created"]
    timely = create_session(client, expires_at=now + 1900)
    client.advance_clock(2000)
    retrieve_all(client, timely)
    client.get("/v1/checkout/sessions", limit=3, expand=["data.line_items"])
    client.get("/v1/checkout/sessions", status="expired")


def discounted_sessions(client: Client) -> None:
    """Half price, free, and by a promotion code; with a customer and an address."""
    half = client.post("/v1/coupons", percent_off=50, duration="once")
    whole = client.post("/v1/coupons", percent_off=100, duration="once")
    code = client.post("/v1/promotion_codes", promotion={"type": "coupon", "coupon": half["id"]})
    for discount in (
        {"coupon": half["id"]},
        {"coupon": whole["id"]},
        {"promotion_code": code["id"]},
    ):
        session = create_session(
            client,
            discounts=[discount],
            customer_email="c@example.com",
            billing_address_collection="required",
            customer_creation="always",
            expand=["line_items.data.discounts", "total_details.breakdown", "discounts.coupon"],
        )
        pay(client, session)
        client.settle()
        retrieve_all(client, session)


def detailed_session(client: Client) -> None:
    """Several items for a known customer, with shipping and a saved card."""
    session = create_session(
        client,
        line_items=[{"price": PRICE, "quantity": 2}, {"price": PRICE, "quantity": 1}],
        customer=create_customer(client),
        allowed_payment_method_types=["card"],
        payment_intent_data={
            "shipping": {
                "name": "J",
                "address": {"line1": "1 Street", "city": "Wien", "country": "AT"},
            },
            "receipt_email": "r@example.com",
            "statement_descriptor": "SHOP",
            "setup_future_usage": "off_session",
        },
    )
    pay(client, session)
    client.settle()
    retrieve_all(client, session)


def payment_page(client: Client) -> None:
    """The payment page that Stripe's command line confirms."""
    session = create_session(client)
    client.post(
        f"/v1/payment_pages/{session['id']}/confirm",
        payment_method="pm_card_visa",
        expected_amount=2000,
    )


def payment_links(client: Client) -> None:
    """A payment link, changed and listed."""
    made = client.post("/v1/payment_links", line_items=[{"price": PRICE, "quantity": 1}])
    path = f"/v1/payment_links/{made['id']}"
    client.get(path, expand=["line_items"])
    client.get(f"{path}/line_items")
    client.post(path, active=False, metadata={"a": "b"})
    client.get("/v1/payment_links")


FLOWS: list[Callable[[Client], None]] = [
    cards,
    three_d_secure,
    bank_debits,
    unpaid_sessions,
    discounted_sessions,
    detailed_session,
    payment_page,
    payment_links,
]
