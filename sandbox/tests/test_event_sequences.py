"""The sequence of events for each payment result."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import stripe

from sandbox.testing import RunningSandbox
from sandbox.tests.receiver import Receiver
from sandbox.tests.shop import IDS, Shop

pytestmark = pytest.mark.http

SUCCESS = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
    "charge.updated",
]


def happened(sandbox: RunningSandbox, receiver: Receiver) -> list[str]:
    """The event types in the order they happened; all of them arrived, in whatever order."""
    sandbox.wait_idle()
    types = [
        event["type"]
        for event in sandbox.events()
        if not event["type"].startswith(("product.", "price."))
    ]
    arrived = [kind for kind in receiver.types() if not kind.startswith(("product.", "price."))]
    assert Counter(arrived) == Counter(types)
    return types


def test_a_card_that_works(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()

    outcome = shop.sandbox.pay(session.id)

    assert outcome.redirect == f"http://127.0.0.1:1/paid?session={session.id}"
    assert happened(shop.sandbox, receiver) == ["payment_intent.created", *SUCCESS]
    completed = receiver.wait_for("checkout.session.completed")["data"]["object"]
    assert (completed["status"], completed["payment_status"]) == ("complete", "paid")
    assert completed["payment_intent"].startswith("pi_")
    assert completed["customer_details"]["email"] == "customer@example.com"


def test_metadata_goes_where_stripes_does(shop: Shop, receiver: Receiver) -> None:
    paid = shop.paid()
    shop.client.v1.refunds.create(
        {"payment_intent": paid["payment_intent"], "metadata": {"why": "asked"}}
    )
    shop.sandbox.wait_idle()

    def metadata(kind: str) -> Any:
        return receiver.wait_for(kind)["data"]["object"]["metadata"]

    assert metadata("checkout.session.completed") == {**IDS, "tier": "premium"}
    assert metadata("payment_intent.succeeded") == IDS
    assert metadata("charge.succeeded") == IDS
    assert metadata("charge.refunded") == IDS
    assert metadata("refund.created") == {"why": "asked"}


DECLINES = {
    "4000000000000002": ("card_declined", "generic_decline", "Your card was declined."),
    "4000000000009995": (
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    "4000000000000069": ("expired_card", "expired_card", "Your card has expired."),
    "4000000000000127": (
        "incorrect_cvc",
        "incorrect_cvc",
        "Your card's security code is incorrect.",
    ),
}


@pytest.mark.parametrize("card", DECLINES)
def test_a_declined_card_leaves_the_session_open_for_another(
    shop: Shop, receiver: Receiver, card: str
) -> None:
    code, decline_code, message = DECLINES[card]
    session = shop.session()

    refused = shop.sandbox.pay(session.id, card)

    assert (refused.status, refused.message) == ("declined", message)
    assert shop.sandbox.object(session.id)["status"] == "open"
    error = receiver.wait_for("payment_intent.payment_failed")["data"]["object"][
        "last_payment_error"
    ]
    assert (error["code"], error["decline_code"]) == (code, decline_code)
    assert shop.sandbox.pay(session.id).status == "succeeded"
    assert happened(shop.sandbox, receiver) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        *SUCCESS,
    ]


def test_3d_secure_passed(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()

    assert shop.sandbox.pay(session.id, "4000002500003155").status == "requires_action"
    assert shop.sandbox.authenticate(session.id).status == "succeeded"

    assert happened(shop.sandbox, receiver) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        *SUCCESS,
    ]


def test_3d_secure_failed_makes_no_charge(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()
    shop.sandbox.pay(session.id, "4000002500003155")

    outcome = shop.sandbox.authenticate(session.id, passed=False)

    assert outcome.status == "declined"
    assert happened(shop.sandbox, receiver) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
    ]
    failed = receiver.wait_for("payment_intent.payment_failed")["data"]["object"]
    assert failed["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert failed["latest_charge"] is None
    assert shop.sandbox.object(session.id)["status"] == "open"


def test_3d_secure_passed_and_then_declined(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()
    shop.sandbox.pay(session.id, "4000008400001629")

    assert shop.sandbox.authenticate(session.id).message == "Your card was declined."
    assert shop.sandbox.object(session.id)["status"] == "open"
    assert happened(shop.sandbox, receiver) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


@pytest.mark.parametrize(
    ("card", "answer", "ending", "status"),
    [
        ("4000002500003155", "complete", [SUCCESS[0], SUCCESS[1], SUCCESS[3]], "succeeded"),
        ("4000002500003155", "fail", ["payment_intent.payment_failed"], "failed"),
        (
            "4000008400001629",
            "complete",
            ["charge.failed", "payment_intent.payment_failed"],
            "failed",
        ),
    ],
)
def test_3d_secure_outside_of_checkout(
    shop: Shop, receiver: Receiver, card: str, answer: str, ending: list[str], status: str
) -> None:
    v1 = shop.client.v1
    method = v1.payment_methods.create({"type": "card", "card": {"number": card}})
    intent = v1.payment_intents.create({"amount": 500, "currency": "usd"})
    waiting = v1.payment_intents.confirm(
        intent.id, {"payment_method": method.id, "return_url": "http://127.0.0.1:1/back?a=b"}
    )
    action: Any = waiting.next_action

    asked = requests.get(action.redirect_to_url.url, timeout=5)
    answered = requests.post(asked.url, data={"result": answer}, timeout=5, allow_redirects=False)

    assert "confirm the payment of $5.00" in asked.text
    assert answered.headers["Location"] == (
        f"http://127.0.0.1:1/back?a=b&payment_intent={intent.id}&redirect_status={status}"
    )
    assert requests.post(asked.url, data={"result": answer}, timeout=5).status_code == 400
    assert happened(shop.sandbox, receiver) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        *ending,
    ]


def test_a_sessions_payment_is_the_sessions_alone(shop: Shop) -> None:
    session = shop.session()
    shop.sandbox.pay(session.id, "4000000000000002")
    intent = shop.sandbox.object(session.id)["payment_intent"]

    with pytest.raises(Exception, match="created by a Checkout Session"):
        shop.client.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    shop.sandbox.pay(session.id)

    assert len(shop.sandbox.events("charge.succeeded")) == 1


def test_an_expiry_after_a_decline_gives_up_the_payment(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()
    shop.sandbox.pay(session.id, "4000000000000002")

    shop.client.v1.checkout.sessions.expire(session.id)

    assert happened(shop.sandbox, receiver)[-2:] == [
        "payment_intent.canceled",
        "checkout.session.expired",
    ]


@pytest.mark.parametrize("currency", ["usd", "eur"])
@pytest.mark.parametrize("succeeds", [True, False])
def test_a_delayed_method_completes_unpaid_and_is_decided_later(
    shop: Shop, receiver: Receiver, currency: str, succeeds: bool
) -> None:
    session = shop.session(currency=currency)

    outcome = shop.sandbox.pay_by_debit(session.id, succeeds=succeeds)

    assert outcome.status == "processing"
    completed = receiver.wait_for("checkout.session.completed")["data"]["object"]
    assert (completed["status"], completed["payment_status"]) == ("complete", "unpaid")
    types = happened(shop.sandbox, receiver)
    assert types[:4] == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
    ]
    ending = (
        ["charge.succeeded", "payment_intent.succeeded"]
        if succeeds
        else ["charge.failed", "payment_intent.payment_failed"]
    )
    final = f"checkout.session.async_payment_{'succeeded' if succeeds else 'failed'}"
    assert types[4:7] == [*ending, final]
    told = receiver.wait_for(final)["data"]["object"]
    assert told["payment_status"] == ("paid" if succeeds else "unpaid")


def test_an_explicit_expiry(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()

    expired = shop.client.v1.checkout.sessions.expire(session.id)

    assert (expired.status, expired.url) == ("expired", None)
    assert happened(shop.sandbox, receiver) == ["checkout.session.expired"]


def test_a_session_expires_when_its_time_is_over(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()

    shop.sandbox.advance_clock(24 * 3600 + 1)

    assert happened(shop.sandbox, receiver) == ["checkout.session.expired"]
    assert shop.sandbox.object(session.id)["status"] == "expired"


def test_nothing_to_pay_makes_no_payment_intent(shop: Shop, receiver: Receiver) -> None:
    coupon = shop.client.v1.coupons.create({"percent_off": 100, "duration": "once"})
    session = shop.session(discounts=[{"coupon": coupon.id}])

    assert shop.sandbox.pay(session.id).status == "succeeded"

    kinds = [kind for kind in happened(shop.sandbox, receiver) if not kind.startswith("coupon.")]
    assert kinds == ["checkout.session.completed"]
    completed = receiver.wait_for("checkout.session.completed")["data"]["object"]
    assert completed["payment_status"] == "no_payment_required"
    assert completed["payment_intent"] is None
    assert completed["customer_details"]["email"] == "customer@example.com"


def test_a_session_is_paid_once_however_many_try_at_the_same_time(shop: Shop) -> None:
    session = shop.session()

    def confirm(number: int) -> bool:
        if number % 2:
            return shop.submit(session).status_code == 303
        try:
            shop.client.raw_request(
                "post", f"/v1/payment_pages/{session.id}/confirm", payment_method="pm_card_visa"
            )
        except stripe.InvalidRequestError:
            return False
        return True

    with ThreadPoolExecutor(12) as customers:
        list(customers.map(confirm, range(12)))

    shop.sandbox.wait_idle()
    assert len(shop.sandbox.events("charge.succeeded")) == 1
    assert len(shop.sandbox.events("checkout.session.completed")) == 1


def test_a_session_is_paid_once_however_often_its_form_is_sent(shop: Shop) -> None:
    session = shop.session()

    first, second = shop.submit(session), shop.submit(session)

    assert first.headers["Location"] == second.headers["Location"]
    shop.sandbox.wait_idle()
    assert len(shop.sandbox.events("charge.succeeded")) == 1
