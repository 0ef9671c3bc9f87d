"""Flows of payment intents without Checkout: confirmed, captured, declined, canceled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.conformance.client import Client
from sandbox.conformance.flows.customers import create_customer
from sandbox.json_types import JsonObject

RETURN_URL = "http://127.0.0.1:9/back"
_DECLINED = (
    "visa_chargeDeclined", "chargeDeclinedInsufficientFunds", "chargeDeclinedExpiredCard",
    "chargeDeclinedIncorrectCvc", "chargeDeclinedProcessingError",
)  # fmt: skip


def create_intent(client: Client, **params: Any) -> JsonObject:
    """An intent of 25.00 USD."""
    return client.post("/v1/payment_intents", amount=2500, currency="usd", **params)


def confirmed(client: Client) -> None:
    """An intent that is updated, confirmed and described afterwards."""
    made = create_intent(
        client,
        customer=create_customer(client),
        metadata={"a": "b"},
        receipt_email="r@example.com",
        shipping={"name": "J", "address": {"line1": "1 Street", "country": "AT"}},
    )
    path = f"/v1/payment_intents/{made['id']}"
    client.post(path, amount=2600, description="New", metadata={"c": "d"})
    client.post(
        f"{path}/confirm",
        payment_method="pm_card_visa",
        return_url=RETURN_URL,
        expand=["latest_charge"],
    )
    client.settle()
    charge = client.get(path)["latest_charge"]
    client.post(f"/v1/charges/{charge}", description="c", metadata={"e": "f"})
    client.get("/v1/charges/search", query="currency:'usd'")
    client.get("/v1/payment_intents/search", query="metadata['a']:'b'")
    client.get("/v1/payment_intents", limit=5, expand=["data.latest_charge"])


def canceled(client: Client) -> None:
    """Intents that are never charged."""
    made = create_intent(client, automatic_payment_methods={"enabled": True})
    client.post(
        f"/v1/payment_intents/{made['id']}/cancel", cancellation_reason="requested_by_customer"
    )
    create_intent(client, payment_method="pm_card_visa")
    create_intent(client, allowed_payment_method_types=["card"])


def captured(client: Client) -> None:
    """A hold that is captured in part, and one that is released."""
    for action, params in (("capture", {"amount_to_capture": 2000}), ("cancel", {})):
        held = create_intent(
            client,
            capture_method="manual",
            confirm=True,
            payment_method="pm_card_visa",
            return_url=RETURN_URL,
        )
        client.get(f"/v1/payment_intents/{held['id']}", expand=["latest_charge"])
        client.post(f"/v1/payment_intents/{held['id']}/{action}", **params)
        client.settle()
        client.get(f"/v1/payment_intents/{held['id']}", expand=["latest_charge"])


def declined(client: Client) -> None:
    """Declined cards of each kind."""
    for name in _DECLINED:
        create_intent(client, confirm=True, payment_method=f"pm_card_{name}", return_url=RETURN_URL)


def authenticated(client: Client) -> None:
    """3D Secure without Checkout, passed and failed."""
    for result in ("complete", "fail"):
        made = create_intent(
            client,
            confirm=True,
            payment_method="pm_card_threeDSecure2Required",
            return_url=RETURN_URL,
        )
        client.submit(f"/c/authenticate/{made['id']}", result=result)
        client.get(f"/v1/payment_intents/{made['id']}", expand=["latest_charge", "payment_method"])


def debited(client: Client) -> None:
    """A bank debit with an accepted mandate."""
    made = create_intent(
        client,
        confirm=True,
        return_url=RETURN_URL,
        payment_method_data={
            "type": "us_bank_account",
            "us_bank_account": {
                "account_number": "000123456789",
                "routing_number": "110000000",
                "account_holder_type": "individual",
            },
            "billing_details": {"name": "N"},
        },
        mandate_data={"customer_acceptance": {"type": "offline"}},
    )
    client.settle()
    whole = client.get(f"/v1/payment_intents/{made['id']}", expand=["latest_charge"])
    details = whole["latest_charge"]["payment_method_details"]["us_bank_account"]
    if mandate := details.get("mandate"):
        client.get(f"/v1/mandates/{mandate}")


def fraud_warnings(client: Client) -> None:
    """An early fraud warning, closed by a refund."""
    create_intent(
        client,
        confirm=True,
        payment_method="pm_card_createIssuerFraudRecord",
        return_url=RETURN_URL,
    )
    client.settle()
    for warning in client.get("/v1/radar/early_fraud_warnings")["data"]:
        client.get(f"/v1/radar/early_fraud_warnings/{warning['id']}", expand=["charge"])
        client.post("/v1/refunds", charge=warning["charge"])


FLOWS: list[Callable[[Client], None]] = [
    confirmed,
    canceled,
    captured,
    declined,
    authenticated,
    debited,
    fraud_warnings,
]
