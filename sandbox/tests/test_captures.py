"""Manual capture: authorize, capture wholly or in part, cancel, expire."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

WEEK = 7 * 86400


def authorized(shop: Shop, **params: Any) -> stripe.PaymentIntent:
    """A payment of 20.00 USD that is held and not captured."""
    given: Any = {
        "amount": 2000,
        "currency": "usd",
        "capture_method": "manual",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "payment_method_types": ["card"],
        **params,
    }
    return shop.client.v1.payment_intents.create(given)


def charge_of(shop: Shop, intent: stripe.PaymentIntent) -> stripe.Charge:
    return shop.client.v1.charges.retrieve(str(intent.latest_charge))


def types(shop: Shop) -> list[str]:
    return [event["type"] for event in shop.sandbox.events()]


def test_an_authorized_payment_is_held(shop: Shop) -> None:
    intent = authorized(shop)

    charge = charge_of(shop, intent)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == (
        "requires_capture",
        2000,
        0,
    )
    assert (charge.status, charge.captured, charge.amount_captured) == ("succeeded", False, 0)
    assert types(shop)[-2:] == ["charge.succeeded", "payment_intent.amount_capturable_updated"]


def test_the_whole_hold_is_captured(shop: Shop) -> None:
    intent = authorized(shop)

    captured = shop.client.v1.payment_intents.capture(intent.id)
    shop.sandbox.wait_idle()

    charge = charge_of(shop, captured)
    assert (captured.status, captured.amount_capturable, captured.amount_received) == (
        "succeeded",
        0,
        2000,
    )
    assert (charge.captured, charge.amount_captured, charge.amount_refunded) == (True, 2000, 0)
    assert types(shop)[-3:] == ["charge.captured", "payment_intent.succeeded", "charge.updated"]


def test_the_rest_of_a_partly_captured_hold_is_released(shop: Shop) -> None:
    intent = authorized(shop)

    captured = shop.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500})
    shop.sandbox.wait_idle()

    charge = charge_of(shop, captured)
    assert (captured.amount, captured.amount_received) == (2000, 1500)
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (1500, 500, False)
    booked = shop.client.v1.balance_transactions.retrieve(str(charge.balance_transaction))
    assert booked.amount == 1500
    with pytest.raises(stripe.InvalidRequestError, match="greater than"):
        shop.client.v1.refunds.create({"payment_intent": intent.id, "amount": 1600})


def test_more_than_the_hold_cannot_be_captured(shop: Shop) -> None:
    intent = authorized(shop)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2001})

    assert refused.value.code == "amount_too_large"


def test_a_payment_is_captured_once(shop: Shop) -> None:
    intent = authorized(shop)
    shop.client.v1.payment_intents.capture(intent.id)

    with pytest.raises(stripe.InvalidRequestError, match="could not be captured") as refused:
        shop.client.v1.payment_intents.capture(intent.id)

    assert refused.value.code == "payment_intent_unexpected_state"


def test_canceling_releases_the_hold(shop: Shop) -> None:
    intent = authorized(shop)

    canceled = shop.client.v1.payment_intents.cancel(intent.id)

    charge = charge_of(shop, intent)
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    assert (charge.refunded, charge.amount_refunded) == (True, 2000)
    assert types(shop)[-2:] == ["charge.refunded", "payment_intent.canceled"]


def test_a_hold_expires_after_a_week(shop: Shop) -> None:
    intent = authorized(shop)

    shop.sandbox.advance_clock(WEEK + 1)
    shop.sandbox.wait_idle()

    expired = shop.client.v1.payment_intents.retrieve(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert types(shop)[-2:] == ["charge.expired", "payment_intent.canceled"]


def test_a_captured_payment_does_not_expire(shop: Shop) -> None:
    intent = authorized(shop)
    shop.client.v1.payment_intents.capture(intent.id)

    shop.sandbox.advance_clock(WEEK + 1)
    shop.sandbox.wait_idle()

    assert shop.client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_parameters_of_a_capture_that_are_not_covered_are_named(shop: Shop) -> None:
    intent = authorized(shop)

    with pytest.raises(
        stripe.InvalidRequestError, match="final_capture, which this sandbox does not"
    ):
        shop.client.v1.payment_intents.capture(intent.id, {"final_capture": False})
