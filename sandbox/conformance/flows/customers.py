"""Flows of customers, their discounts, saved payment methods and cash balance; of the account."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.conformance.client import Client
from sandbox.json_types import JsonObject

CARD = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2040, "cvc": "123"}


def create_customer(client: Client) -> str:
    """A customer with all contact details."""
    made = client.post(
        "/v1/customers",
        email="me@example.com",
        name="Me",
        phone="+4366012345",
        description="d",
        metadata={"a": "b"},
        address={"line1": "1 Street", "city": "Wien", "country": "AT", "postal_code": "1010"},
    )
    return str(made["id"])


def customers(client: Client) -> None:
    """Create, update, list, search and delete customers."""
    path = f"/v1/customers/{create_customer(client)}"
    client.get(path)
    client.post(path, name="You", metadata={"a": ""})
    client.get("/v1/customers", email="me@example.com")
    client.get("/v1/customers/search", query="email:'me@example.com'")
    client.delete(path)
    client.get(path)


def discounts(client: Client) -> None:
    """A coupon of a customer, set by a client without an API version, and removed."""
    coupon = client.post("/v1/coupons", percent_off=5, duration="forever")
    path = f"/v1/customers/{create_customer(client)}"
    client.request("POST", path, {"coupon": coupon["id"]}, headers={"Stripe-Version": ""})
    client.get(path, expand=["discount.source.coupon"])
    client.delete(f"{path}/discount")


def saved_methods(client: Client) -> None:
    """Payment methods of each type; attached, updated, listed and detached."""
    billing = {"name": "N", "email": "n@example.com"}
    kinds: list[JsonObject] = [
        {"type": "card", "card": CARD, "billing_details": {**billing, "address": {"city": "Wien"}}},
        {"type": "card", "card": {"token": "tok_visa"}},
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT611904300234573201"},
            "billing_details": billing,
        },
        {
            "type": "us_bank_account",
            "us_bank_account": {
                "account_number": "000123456789",
                "routing_number": "110000000",
                "account_holder_type": "individual",
            },
            "billing_details": {"name": "N"},
        },
    ]
    customer = create_customer(client)
    for params in kinds:
        made = client.post("/v1/payment_methods", **params)
        client.get(f"/v1/payment_methods/{made['id']}")
    path = f"/v1/payment_methods/{client.post('/v1/payment_methods', **kinds[0])['id']}"
    client.post(f"{path}/attach", customer=customer)
    client.post(path, metadata={"a": "b"}, card={"exp_year": 2041})
    client.get(path, expand=["customer"])
    client.get("/v1/payment_methods", customer=customer)
    client.get(f"/v1/customers/{customer}/payment_methods")
    client.post(f"{path}/detach")
    client.get("/v1/payment_methods", type="card", limit=3)


def sources(client: Client) -> None:
    """A card as a source."""
    path = f"/v1/customers/{create_customer(client)}"
    card = client.post(f"{path}/sources", source="tok_visa")
    client.get(f"{path}/sources/{card['id']}")
    client.post(f"{path}/sources/{card['id']}", name="J")
    client.get(f"{path}/sources", object="card")
    client.get(path, expand=["default_source", "sources"])
    client.delete(f"{path}/sources/{card['id']}")


def cash_balance(client: Client) -> None:
    """A bank transfer that is applied to a payment."""
    customer = create_customer(client)
    intent = client.post(
        "/v1/payment_intents",
        amount=5000,
        currency="eur",
        customer=customer,
        confirm=True,
        allowed_payment_method_types=["customer_balance"],
        payment_method_data={"type": "customer_balance"},
        payment_method_options={
            "customer_balance": {
                "funding_type": "bank_transfer",
                "bank_transfer": {
                    "type": "eu_bank_transfer",
                    "eu_bank_transfer": {"country": "FR"},
                },
            }
        },
    )
    for amount in (2000, 3000):
        client.post(
            f"/v1/test_helpers/customers/{customer}/fund_cash_balance",
            amount=amount,
            currency="eur",
        )
        client.settle()
        client.get(f"/v1/customers/{customer}/cash_balance")
        if "id" in intent:
            client.get(f"/v1/payment_intents/{intent['id']}", expand=["latest_charge"])
    client.get(f"/v1/customers/{customer}/cash_balance_transactions")


def setup_intents(client: Client) -> None:
    """A card saved without a payment, with and without 3D Secure."""
    customer = create_customer(client)
    made = client.post("/v1/setup_intents", customer=customer, metadata={"a": "b"})
    path = f"/v1/setup_intents/{made['id']}"
    client.post(path, description="d")
    client.post(
        f"{path}/confirm", payment_method="pm_card_visa", return_url="http://127.0.0.1:9/back"
    )
    client.get(path, expand=["payment_method", "latest_attempt", "customer"])
    client.get("/v1/setup_intents", limit=2)
    for card in ("pm_card_chargeDeclined", "pm_card_threeDSecure2Required"):
        client.post(
            "/v1/setup_intents",
            confirm=True,
            payment_method=card,
            return_url="http://127.0.0.1:9/back",
        )
    other = client.post("/v1/setup_intents")
    client.post(f"/v1/setup_intents/{other['id']}/cancel")


def account(client: Client) -> None:
    """The account and its balance."""
    client.get("/v1/account")
    client.get("/v1/balance")
    client.get("/v1/shipping_rates")


FLOWS: list[Callable[[Client], None]] = [
    customers,
    discounts,
    saved_methods,
    sources,
    cash_balance,
    setup_intents,
    account,
]
