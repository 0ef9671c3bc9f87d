"""One suite for the sandbox and for Stripe's test mode, so that a difference is found.

The part against Stripe is skipped unless `STRIPE_TEST_SECRET_KEY` is set in the environment. It
creates products, customers and payments in that test account, and deletes nothing but what it must.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from sandbox.testing import running

KEY_VARIABLE = "STRIPE_TEST_SECRET_KEY"
HOSTS = ["127.0.0.1", "::1"]
RETURN_URL = "https://example.com/back"


@dataclass(frozen=True)
class Api:
    """An API to ask: the sandbox's or Stripe's."""

    client: stripe.StripeClient
    is_stripe: bool

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """What becomes true within some seconds."""
        deadline = time.monotonic() + 30
        while not (found := condition()):
            assert time.monotonic() < deadline
            time.sleep(1.0 if self.is_stripe else 0.02)
        return found


def live_key() -> str:
    """The key of the test account. Skips the test if there is none; refuses a live key."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        pytest.skip(f"{KEY_VARIABLE} is not set: nothing is compared with Stripe's test mode")
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.fail(f"{KEY_VARIABLE} must be a key of test mode")
    return key


def stripe_client() -> stripe.StripeClient:
    return stripe.StripeClient(live_key(), http_client=stripe.RequestsClient(timeout=(5, 30)))


@pytest.fixture(scope="module")
def local() -> Iterator[stripe.StripeClient]:
    with running(webhook=None) as sandbox:
        yield stripe.StripeClient(
            "sk_test_sandbox",
            base_addresses={"api": sandbox.url},
            http_client=stripe.RequestsClient(timeout=(2, 10)),
        )


@pytest.fixture(
    params=[
        pytest.param("sandbox", marks=pytest.mark.allow_hosts(HOSTS)),
        pytest.param("stripe", marks=[pytest.mark.enable_socket, pytest.mark.timeout(120)]),
    ]
)
def api(
    request: pytest.FixtureRequest, local: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> Api:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    if request.param == "stripe":
        return Api(stripe_client(), is_stripe=True)
    return Api(local, is_stripe=False)


def product(client: stripe.StripeClient) -> stripe.Product:
    return client.v1.products.create({"name": "Same as Stripe", "metadata": {"suite": "1"}})


def price(client: stripe.StripeClient) -> stripe.Price:
    owner = product(client).id
    return client.v1.prices.create({"product": owner, "currency": "usd", "unit_amount": 1500})


def session(client: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    given: Any = {
        "mode": "payment",
        "line_items": [{"price": price(client).id, "quantity": 2}],
        "success_url": "https://example.com/paid?session={CHECKOUT_SESSION_ID}",
        **more,
    }
    return client.v1.checkout.sessions.create(given)


def payment(client: stripe.StripeClient, method: str, **more: Any) -> stripe.PaymentIntent:
    given: Any = {
        "amount": 2000,
        "currency": "usd",
        "confirm": True,
        "payment_method": method,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        **more,
    }
    return client.v1.payment_intents.create(given)


def test_an_open_session(api: Api) -> None:
    made = session(api.client, metadata={"order": "7"})

    assert made.status == "open"
    assert made.payment_status == "unpaid"
    assert made.payment_intent is None
    assert (made.amount_subtotal, made.amount_total) == (3000, 3000)
    assert made.metadata is not None
    assert made.metadata["order"] == "7"
    assert made.expires_at - made.created == pytest.approx(86400, abs=5)
    assert made.discounts == []
    assert made.url is not None
    assert "#" in made.url


def test_an_expired_session(api: Api) -> None:
    made = session(api.client)

    expired = api.client.v1.checkout.sessions.expire(made.id)

    assert (expired.status, expired.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match="status of expired"):
        api.client.v1.checkout.sessions.expire(made.id)


def test_a_discounted_session(api: Api) -> None:
    coupon = api.client.v1.coupons.create({"percent_off": 50, "duration": "once"})
    made = session(api.client, discounts=[{"coupon": coupon.id}], expand=["line_items"])

    assert made.total_details is not None
    assert (made.amount_total, made.total_details.amount_discount) == (1500, 1500)
    assert made.line_items is not None
    assert made.line_items.data[0].amount_discount == 1500


def test_a_payment_and_its_refund(api: Api) -> None:
    paid = payment(api.client, "pm_card_visa", metadata={"order": "7"})
    refund = api.client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    charge = api.client.v1.charges.retrieve(str(paid.latest_charge))

    assert (paid.status, paid.amount_received) == ("succeeded", 2000)
    assert refund.status == "succeeded"
    assert (charge.amount_refunded, charge.refunded) == (500, False)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        api.client.v1.refunds.create({"payment_intent": paid.id, "amount": 1600})


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_a_declined_payment(api: Api, method: str, code: str, decline_code: str) -> None:
    with pytest.raises(stripe.CardError) as declined:
        payment(api.client, method)

    assert declined.value.http_status == 402
    assert declined.value.code == code
    assert declined.value.error is not None
    assert declined.value.error.decline_code == decline_code
    intent = declined.value.error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"


def test_a_held_payment_is_captured_in_part(api: Api) -> None:
    held = payment(api.client, "pm_card_visa", capture_method="manual")

    captured = api.client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1500})

    charge = api.client.v1.charges.retrieve(str(captured.latest_charge))
    assert (held.status, held.amount_capturable) == ("requires_capture", 2000)
    assert (captured.status, captured.amount_received) == ("succeeded", 1500)
    assert (charge.amount_captured, charge.amount_refunded) == (1500, 500)


def test_3d_secure_asks_for_an_action(api: Api) -> None:
    waiting = payment(
        api.client,
        "pm_card_threeDSecure2Required",
        automatic_payment_methods={"enabled": True},
        return_url=RETURN_URL,
    )

    assert waiting.status == "requires_action"
    assert waiting.next_action is not None
    assert waiting.next_action.type == "redirect_to_url"


def test_a_dispute(api: Api) -> None:
    paid = payment(api.client, "pm_card_createDispute")

    found = api.wait_for(lambda: api.client.v1.disputes.list({"payment_intent": paid.id}).data)

    assert (found[0].reason, found[0].status) == ("fraudulent", "needs_response")


def test_a_saved_payment_method(api: Api) -> None:
    owner = api.client.v1.customers.create({"email": "same@example.com"})
    saved = api.client.v1.payment_methods.attach("pm_card_visa", {"customer": owner.id})

    detached = api.client.v1.payment_methods.detach(saved.id)

    assert (saved.customer, detached.customer) == (owner.id, None)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        api.client.v1.payment_methods.attach(saved.id, {"customer": owner.id})


def test_a_repeated_request_gets_the_first_answer(api: Api) -> None:
    options: Any = {"idempotency_key": secrets.token_hex(8)}

    first = api.client.v1.products.create({"name": "Once"}, options)
    second = api.client.v1.products.create({"name": "Once"}, options)

    assert first.id == second.id
    with pytest.raises(stripe.IdempotencyError):
        api.client.v1.products.create({"name": "Twice"}, options)


def test_a_deleted_customer(api: Api) -> None:
    made = api.client.v1.customers.create()

    api.client.v1.customers.delete(made.id)

    assert api.client.v1.customers.retrieve(made.id).deleted is True


def test_events_of_a_payment(api: Api) -> None:
    paid = payment(api.client, "pm_card_visa")
    wanted = {"payment_intent.created", "charge.succeeded", "payment_intent.succeeded"}

    def types() -> set[str]:
        events = api.client.v1.events.list({"limit": 50}).data
        ours = (each for each in events if paid.id in str(each))
        return {each.type for each in ours}

    assert api.wait_for(lambda: wanted <= types())


REFUSALS: dict[str, Callable[[stripe.StripeClient], object]] = {
    "no such session": lambda client: client.v1.checkout.sessions.retrieve("cs_test_none"),
    "no such intent": lambda client: client.v1.payment_intents.retrieve("pi_none"),
    "no such method": lambda client: client.v1.payment_methods.retrieve("pm_none"),
    "no such customer": lambda client: client.v1.customers.retrieve("cus_none"),
    "no such product": lambda client: client.v1.products.retrieve("prod_none"),
    "unknown parameter": lambda client: raw(client, "/v1/products", name="x", nothing="1"),
    "missing parameter": lambda client: raw(client, "/v1/products"),
    "empty parameter": lambda client: raw(client, "/v1/products", name=""),
    "unknown route": lambda client: raw(client, "/v1/nothing"),
    "too little": lambda client: raw(client, "/v1/payment_intents", amount="10", currency="usd"),
    "no integer": lambda client: raw(client, "/v1/payment_intents", amount="x", currency="usd"),
    "page too long": lambda client: client.v1.events.list({"limit": 1000}),
}
FACTS: dict[str, tuple[int, str | None, str | None]] = {
    "no such session": (404, "resource_missing", None),
    "no such intent": (404, "resource_missing", "intent"),
    "no such method": (404, "resource_missing", None),
    "no such customer": (404, "resource_missing", "id"),
    "no such product": (404, "resource_missing", "id"),
    "unknown parameter": (400, "parameter_unknown", "nothing"),
    "missing parameter": (400, "parameter_missing", "name"),
    "empty parameter": (400, "parameter_invalid_empty", "name"),
    "unknown route": (404, None, None),
    "too little": (400, "amount_too_small", "amount"),
    "no integer": (400, "parameter_invalid_integer", "amount"),
    "page too long": (400, "parameter_invalid_integer", "limit"),
}


def raw(client: stripe.StripeClient, path: str, **params: str) -> object:
    return client.deserialize(client.raw_request("post", path, **params), api_mode="V1")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_the_same_status_code_and_parameter(api: Api, name: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        REFUSALS[name](api.client)

    status, code, param = FACTS[name]
    assert (refused.value.http_status, refused.value.code) == (status, code)
    if param is not None:
        assert refused.value.param == param


OBJECTS: dict[str, Callable[[stripe.StripeClient], Any]] = {
    "product": product,
    "price": price,
    "session": session,
    "customer": lambda client: client.v1.customers.create({"email": "same@example.com"}),
    "coupon": lambda client: client.v1.coupons.create({"percent_off": 5, "duration": "once"}),
    "payment_intent": lambda client: payment(client, "pm_card_visa"),
    "charge": lambda client: client.v1.charges.retrieve(
        str(payment(client, "pm_card_visa").latest_charge)
    ),
    "refund": lambda client: client.v1.refunds.create(
        {"payment_intent": payment(client, "pm_card_visa").id}
    ),
    "payment_method": lambda client: client.v1.payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}}
    ),
    "setup_intent": lambda client: client.v1.setup_intents.create(),
    "payment_link": lambda client: client.v1.payment_links.create(
        {"line_items": [{"price": price(client).id, "quantity": 1}]}
    ),
    "balance": lambda client: client.v1.balance.retrieve(),
}
ACCOUNTS_OWN = frozenset(
    {
        "payment_method_configuration_details", "payment_method_options", "available", "pending",
        "instant_available", "issuing", "connect_reserved", "refund_and_dispute_prefunding",
        "metadata",
    }
)  # fmt: skip
"""Fields whose content depends on the account's settings."""


@pytest.mark.enable_socket
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_have_the_fields_that_stripe_sends(
    name: str, local: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    theirs = OBJECTS[name](stripe_client()).to_dict()
    ours = OBJECTS[name](local).to_dict()

    assert differences(theirs, ours) == []


def test_differences_are_told_by_their_path() -> None:
    theirs = {"a": 1, "b": {"c": None, "d": "x"}, "list": [{"e": 1}], "metadata": {"x": 1}}
    ours = {"a": "1", "b": {"d": "x", "f": 1}, "list": [{"e": None}], "metadata": {}}

    assert differences(theirs, ours) == [
        "a: int at Stripe, str here",
        "b.c: at Stripe only",
        "b.f: here only",
    ]


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: str = "") -> list[str]:
    """The fields that only one of two objects has, or that have another type.

    A field that is null in one of them says nothing about its type.
    """
    found: list[str] = []
    for name in sorted({*theirs, *ours} - ACCOUNTS_OWN):
        where = f"{path}{name}"
        if name not in ours or name not in theirs:
            found.append(f"{where}: {'at Stripe' if name in theirs else 'here'} only")
            continue
        left, right = theirs[name], ours[name]
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differences(left, right, f"{where}.")
        elif left is not None and right is not None and type(left) is not type(right):
            found.append(f"{where}: {type(left).__name__} at Stripe, {type(right).__name__} here")
    return found
