"""Payments by bank transfer from a customer's cash balance."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

TRANSFER = {"type": "us_bank_transfer"}


def by_transfer(shop: Shop, owner: str | None, **params: Any) -> stripe.PaymentIntent:
    """A payment that waits for a bank transfer."""
    options = {"customer_balance": {"funding_type": "bank_transfer", "bank_transfer": TRANSFER}}
    given: Any = {
        "amount": 2000,
        "currency": "usd",
        "payment_method_types": ["customer_balance"],
        "payment_method_data": {"type": "customer_balance"},
        "payment_method_options": options,
        "confirm": True,
        **({"customer": owner} if owner else {}),
        **params,
    }
    return shop.client.v1.payment_intents.create(given)


def fund(shop: Shop, owner: str, amount: int, currency: str = "usd") -> Any:
    return shop.client.v1.test_helpers.customers.fund_cash_balance(
        owner, {"amount": amount, "currency": currency, "reference": "Order 1"}
    )


def customer(shop: Shop) -> str:
    return shop.client.v1.customers.create({"email": "jenny@example.com"}).id


def types(shop: Shop) -> list[str]:
    shop.sandbox.wait_idle()
    return [event["type"] for event in shop.sandbox.events()]


def test_a_payment_waits_for_a_transfer_and_is_paid_by_it(shop: Shop) -> None:
    owner = customer(shop)
    waiting = by_transfer(shop, owner)

    funded = fund(shop, owner, 2000)

    paid = shop.client.v1.payment_intents.retrieve(waiting.id, {"expand": ["latest_charge"]})
    assert waiting.next_action is not None
    instructions = waiting.next_action.display_bank_transfer_instructions
    assert instructions is not None
    assert (waiting.status, instructions.amount_remaining) == ("requires_action", 2000)
    assert (funded.type, funded.net_amount, funded.ending_balance) == ("funded", 2000, 2000)
    assert (paid.status, paid.amount_received, paid.next_action) == ("succeeded", 2000, None)
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert paid.latest_charge.payment_method_details is not None
    assert paid.latest_charge.payment_method_details.type == "customer_balance"
    assert types(shop)[-6:] == [
        "customer_cash_balance_transaction.created",
        "cash_balance.funds_available",
        "customer_cash_balance_transaction.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]


def test_a_transfer_that_does_not_suffice_pays_a_part(shop: Shop) -> None:
    owner = customer(shop)
    waiting = by_transfer(shop, owner)

    fund(shop, owner, 1500)
    fund(shop, owner, 700)

    balance = shop.client.v1.customers.cash_balance.retrieve(owner)
    (event,) = shop.sandbox.events("payment_intent.partially_funded")
    instructions = event["data"]["object"]["next_action"]["display_bank_transfer_instructions"]
    assert instructions["amount_remaining"] == 500
    assert shop.client.v1.payment_intents.retrieve(waiting.id).status == "succeeded"
    assert balance.available is not None
    assert balance.available["usd"] == 200


def test_money_that_is_already_there_is_used_at_once(shop: Shop) -> None:
    owner = customer(shop)
    fund(shop, owner, 5000)

    assert by_transfer(shop, owner).status == "succeeded"


def test_other_currencies_are_left_alone(shop: Shop) -> None:
    owner = customer(shop)
    waiting = by_transfer(shop, owner)

    fund(shop, owner, 5000, currency="eur")

    assert shop.client.v1.payment_intents.retrieve(waiting.id).status == "requires_action"


def test_the_transactions_of_a_cash_balance(shop: Shop) -> None:
    owner = customer(shop)
    by_transfer(shop, owner)
    fund(shop, owner, 2000)
    transactions = shop.client.v1.customers.cash_balance_transactions

    listed = transactions.list(owner).data

    assert [each.type for each in listed] == ["applied_to_payment", "funded"]
    assert transactions.retrieve(owner, listed[0].id).net_amount == -2000
    with pytest.raises(stripe.InvalidRequestError):
        transactions.retrieve(customer(shop), listed[0].id)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"customer": ""}, "customer"),
        ({"currency": "cad"}, "not available in cad"),
        (
            {
                "currency": "eur",
                "payment_method_options": {
                    "customer_balance": {
                        "funding_type": "bank_transfer",
                        "bank_transfer": {"type": "gb_bank_transfer"},
                    }
                },
            },
            "not available in eur",
        ),
    ],
)
def test_a_wrong_transfer_is_refused(shop: Shop, params: dict[str, Any], message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        by_transfer(shop, customer(shop), **params)


def test_a_transfer_needs_a_customer(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="must provide a customer"):
        by_transfer(shop, None)


def test_a_payment_that_waits_for_a_transfer_has_no_3d_secure(shop: Shop) -> None:
    waiting = by_transfer(shop, customer(shop))
    url = f"{shop.sandbox.url}/c/authenticate/{waiting.id}"

    assert "not waiting for authentication" in requests.get(url, timeout=5).text
    answer = requests.post(url, data={"result": "complete"}, timeout=5)
    assert answer.status_code == 400


def test_a_transfer_cannot_be_refunded_here(shop: Shop) -> None:
    owner = customer(shop)
    fund(shop, owner, 2000)
    paid = by_transfer(shop, owner)

    with pytest.raises(stripe.InvalidRequestError, match="refunds of bank transfers"):
        shop.client.v1.refunds.create({"payment_intent": paid.id})


def test_with_manual_confirmation_the_server_confirms_after_3d_secure(shop: Shop) -> None:
    intent = shop.client.v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "confirmation_method": "manual",
            "confirm": True,
            "payment_method": "pm_card_threeDSecure2Required",
            "allowed_payment_method_types": ["card"],
            "return_url": "http://127.0.0.1:1/back",
        }
    )
    url = f"{shop.sandbox.url}/c/authenticate/{intent.id}"

    requests.post(url, data={"result": "complete"}, timeout=5, allow_redirects=False)
    authenticated = shop.client.v1.payment_intents.retrieve(intent.id)
    confirmed = shop.client.v1.payment_intents.confirm(intent.id)

    assert intent.status == "requires_action"
    assert authenticated.status == "requires_confirmation"
    assert confirmed.status == "succeeded"
