"""Setup intents, which save a payment method without a payment, and mandates."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.testing import RunningSandbox
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

BACK = "http://127.0.0.1:1/back"
THREE_D_SECURE = "pm_card_threeDSecure2Required"


def setup(shop: Shop, **params: Any) -> stripe.SetupIntent:
    given: Any = {"payment_method_types": ["card"], **params}
    return shop.client.v1.setup_intents.create(given)


def types(shop: Shop) -> list[str]:
    return [event["type"] for event in shop.sandbox.events()]


def test_a_confirmed_setup_intent_saves_the_method_to_the_customer(shop: Shop) -> None:
    owner = shop.client.v1.customers.create().id

    made = setup(shop, customer=owner, payment_method="pm_card_visa", confirm=True)

    assert made.status == "succeeded"
    assert shop.client.v1.payment_methods.retrieve(str(made.payment_method)).customer == owner
    assert types(shop) == [
        "customer.created",
        "setup_intent.created",
        "setup_intent.succeeded",
        "payment_method.attached",
    ]


def test_a_setup_intent_is_updated_and_confirmed_later(shop: Shop) -> None:
    made = setup(shop, description="Card", usage="on_session")
    intents = shop.client.v1.setup_intents

    updated = intents.update(made.id, {"metadata": {"a": "b"}, "payment_method": "pm_card_visa"})
    confirmed = intents.confirm(made.id)
    whole = intents.retrieve(made.id, {"expand": ["latest_attempt", "payment_method"]})

    assert (made.status, made.usage) == ("requires_payment_method", "on_session")
    assert updated.status == "requires_confirmation"
    assert confirmed.status == "succeeded"
    assert isinstance(whole.latest_attempt, stripe.SetupAttempt)
    assert whole.latest_attempt.status == "succeeded"
    assert [each.id for each in intents.list().data] == [made.id]


def test_a_declined_card_fails_the_setup(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as declined:
        setup(shop, payment_method="pm_card_chargeDeclined", confirm=True)

    (made,) = shop.client.v1.setup_intents.list().data
    assert declined.value.code == "card_declined"
    assert made.status == "requires_payment_method"
    assert made.last_setup_error is not None
    assert made.last_setup_error.decline_code == "generic_decline"
    assert types(shop)[-1] == "setup_intent.setup_failed"


@pytest.mark.parametrize(
    ("result", "status"), [("complete", "succeeded"), ("fail", "requires_payment_method")]
)
def test_3d_secure_of_a_setup_intent(shop: Shop, result: str, status: str) -> None:
    made = setup(shop, payment_method=THREE_D_SECURE, confirm=True, return_url=BACK)
    assert made.next_action is not None
    assert made.next_action.redirect_to_url is not None
    url = str(made.next_action.redirect_to_url.url)

    page = requests.get(url, timeout=5).text
    answer = requests.post(url, data={"result": result}, timeout=5, allow_redirects=False)

    assert "use of your card for future payments" in page
    assert answer.headers["Location"].startswith(f"{BACK}?setup_intent={made.id}")
    assert shop.client.v1.setup_intents.retrieve(made.id).status == status


def test_a_canceled_setup_intent_cannot_be_confirmed(shop: Shop) -> None:
    made = setup(shop, payment_method="pm_card_visa")

    canceled = shop.client.v1.setup_intents.cancel(made.id, {"cancellation_reason": "abandoned"})

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        shop.client.v1.setup_intents.confirm(made.id)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"confirm": True}, "missing a payment method"),
        ({"payment_method": "pm_none"}, "No such"),
        ({"customer": "cus_none"}, "No such customer"),
        ({"usage": "x"}, "Invalid usage"),
        (
            {"payment_method_types": ["ideal"]},
            "payment methods of type ideal, which this sandbox does not cover",
        ),
        ({"payment_method_options": {"card": {"moto": True}}}, "does not cover"),
        (
            {"payment_method_types": "", "payment_method": "pm_card_visa", "confirm": True},
            "must provide a `return_url`",
        ),
        (
            {"mandate_data": {"customer_acceptance": {"type": "x"}}},
            "must be one of offline or online",
        ),
    ],
)
def test_a_wrong_setup_intent_is_refused(shop: Shop, params: dict[str, Any], message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        setup(shop, **params)


def test_a_debit_with_an_accepted_mandate_shows_it(shop: Shop, sandbox: RunningSandbox) -> None:
    method = shop.client.v1.payment_methods.create(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT611904300234573201"},
            "billing_details": {"name": "Bob", "email": "bob@example.com"},
        }
    )
    online = {"ip_address": "127.0.0.1", "user_agent": "Test"}
    given: Any = {
        "amount": 1000,
        "currency": "eur",
        "payment_method": method.id,
        "payment_method_types": ["sepa_debit"],
        "confirm": True,
        "mandate_data": {"customer_acceptance": {"type": "online", "online": online}},
    }

    paid = shop.client.v1.payment_intents.create(given)

    charge = shop.client.v1.charges.retrieve(str(paid.latest_charge))
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.sepa_debit is not None
    mandate = shop.client.v1.mandates.retrieve(
        str(charge.payment_method_details.sepa_debit.mandate)
    )
    assert paid.status == "processing"
    assert (mandate.type, mandate.payment_method) == ("single_use", method.id)
    assert mandate.customer_acceptance.online is not None
    assert mandate.customer_acceptance.online.user_agent == "Test"
