"""The account's balance, and early fraud warnings."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

FRAUDULENT = "4000000000005423"
TWO_DAYS = 2 * 86400


def pay(shop: Shop, method: str, currency: str = "usd") -> stripe.PaymentIntent:
    paid = shop.client.v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": currency,
            "confirm": True,
            "payment_method": method,
            "allowed_payment_method_types": ["card"],
        }
    )
    shop.sandbox.wait_idle()
    return paid


def amounts(shop: Shop) -> dict[str, dict[str, int]]:
    balance = shop.client.v1.balance.retrieve()
    return {
        "available": {each.currency: each.amount for each in balance.available},
        "pending": {each.currency: each.amount for each in balance.pending},
    }


def test_an_account_without_payments_has_a_balance_of_zero(shop: Shop) -> None:
    assert amounts(shop) == {"available": {"usd": 0}, "pending": {"usd": 0}}


def test_funds_are_pending_for_two_days(shop: Shop) -> None:
    pay(shop, "pm_card_visa")
    pay(shop, "pm_card_visa", currency="eur")

    before = amounts(shop)
    shop.sandbox.advance_clock(TWO_DAYS + 1)
    shop.sandbox.wait_idle()

    assert before == {"available": {"usd": 0}, "pending": {"usd": 1912, "eur": 1912}}
    assert amounts(shop) == {"available": {"usd": 1912, "eur": 1912}, "pending": {"usd": 0}}
    statuses = {each.status for each in shop.client.v1.balance_transactions.list().data}
    assert statuses == {"available"}
    assert len(shop.sandbox.events("balance.available")) == 1


def test_funds_of_one_card_are_available_at_once(shop: Shop) -> None:
    pay(shop, "pm_card_bypassPending")

    assert amounts(shop)["available"] == {"usd": 1912}
    (event,) = shop.sandbox.events("balance.available")
    assert event["data"]["object"]["available"][0]["amount"] == 1912


def test_an_event_without_an_id_is_shown_on_the_control_page(shop: Shop) -> None:
    pay(shop, "pm_card_bypassPending")
    (event,) = shop.sandbox.events("balance.available")

    assert "balance.available" in shop.page("/sandbox")
    assert event["id"] in shop.page(f"/sandbox/events/{event['id']}")


def test_the_account_is_the_one_of_the_key(shop: Shop) -> None:
    account: Any = shop.client.v1.accounts.retrieve_current()

    assert (account.object, account.charges_enabled) == ("account", True)


def test_a_card_leads_to_an_early_fraud_warning(shop: Shop) -> None:
    paid = shop.paid(FRAUDULENT)

    (event,) = shop.sandbox.events("radar.early_fraud_warning.created")
    warning = shop.client.v1.radar.early_fraud_warnings.retrieve(
        event["data"]["object"]["id"], {"expand": ["charge"]}
    )
    assert isinstance(warning.charge, stripe.Charge)
    assert (warning.actionable, warning.payment_intent) == (True, paid["payment_intent"])
    listed = shop.client.v1.radar.early_fraud_warnings.list({"charge": warning.charge.id}).data
    assert [each.id for each in listed] == [warning.id]


@pytest.mark.parametrize("reaction", ["refund", "dispute"])
def test_a_refund_or_dispute_closes_an_early_fraud_warning(shop: Shop, reaction: str) -> None:
    shop.paid(FRAUDULENT)
    warning = shop.sandbox.events("radar.early_fraud_warning.created")[0]["data"]["object"]

    getattr(shop.sandbox, reaction)(warning["charge"])

    (event,) = shop.sandbox.events("radar.early_fraud_warning.updated")
    assert event["data"]["previous_attributes"] == {"actionable": True}
    assert shop.sandbox.object(warning["id"])["actionable"] is False
