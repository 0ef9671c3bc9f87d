"""Stripe's Python SDK against the sandbox: typical calls and each kind of error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from sandbox.testing import RunningSandbox
from sandbox.tests.shop import IDS, Shop

pytestmark = pytest.mark.http


def test_a_new_session_is_open_unpaid_and_has_no_payment_intent(shop: Shop) -> None:
    session = shop.session()

    assert session.id.startswith("cs_test_")
    assert str(session.url).startswith(f"{shop.sandbox.url}/c/pay/{session.id}#")
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert session.payment_intent is None
    assert (session.amount_total, session.currency, session.livemode) == (500, "usd", False)
    assert session.metadata is not None
    assert session.metadata.to_dict() == {**IDS, "tier": "premium"}


def test_seeded_prices_can_be_bought(shop: Shop) -> None:
    session = shop.session(line_items=[{"price": "price_sandbox_premium", "quantity": 2}])

    assert session.amount_total == 4000
    items = shop.client.v1.checkout.sessions.line_items.list(session.id)
    assert [(item.description, item.quantity) for item in items.data] == [("Premium", 2)]


def test_expand_shows_whole_objects_four_levels_deep(shop: Shop) -> None:
    paid = shop.paid()
    paths = [
        "line_items.data.price.product",
        "payment_intent.latest_charge.balance_transaction.source",
    ]

    session = shop.client.v1.checkout.sessions.retrieve(paid["id"], {"expand": paths})

    assert session.line_items is not None
    product: Any = session.line_items.data[0].price.product  # type: ignore[union-attr] # one item
    assert product.name == "Credits"
    intent: Any = session.payment_intent
    assert intent.latest_charge.balance_transaction.source.id == intent.latest_charge.id


def test_lists_expand_under_data(shop: Shop) -> None:
    paid = shop.paid()

    found = shop.client.v1.checkout.sessions.list({"expand": ["data.payment_intent"]})

    intent: Any = found.data[0].payment_intent
    assert (intent.id, intent.status) == (paid["payment_intent"], "succeeded")


def test_sessions_are_found_by_their_payment_intent(shop: Shop) -> None:
    paid, other = shop.paid(), shop.paid()

    found = shop.client.v1.checkout.sessions.list({"payment_intent": paid["payment_intent"]})

    assert [session.id for session in found.data] == [paid["id"]]
    assert other["id"] != paid["id"]


def test_auto_paging_reaches_every_object_in_both_directions(shop: Shop) -> None:
    created = [shop.session().id for _ in range(7)]
    sessions = shop.client.v1.checkout.sessions

    newest_first = [each.id for each in sessions.list({"limit": 3}).auto_paging_iter()]
    since_the_first = sessions.list({"limit": 3, "ending_before": created[0]})

    assert newest_first == created[::-1]
    assert [each.id for each in since_the_first.auto_paging_iter()] == created[1:]


def test_events_are_filtered_by_type_time_and_delivery(shop: Shop) -> None:
    shop.paid()
    events = shop.client.v1.events
    now = shop.sandbox.events()[-1]["created"]

    def types(**params: Any) -> set[str]:
        given: Any = {"limit": 100, **params}
        return {event.type for event in events.list(given).data}

    assert types(type="checkout.session.completed") == {"checkout.session.completed"}
    assert types(type="payment_intent.*") == {
        "payment_intent.created",
        "payment_intent.succeeded",
    }
    two = ["charge.succeeded", "charge.updated"]
    assert types(types=two) == set(two)
    assert types(created={"gt": now + 10}) == set()
    assert "charge.succeeded" in types(created={"gte": now - 60, "lte": now})
    assert types(delivery_success=False) == set()
    assert "charge.succeeded" in types(delivery_success=True)


def test_a_repeated_key_returns_the_first_session_and_says_so(shop: Shop) -> None:
    params: Any = {
        "mode": "payment",
        "line_items": [{"price": "price_sandbox_premium", "quantity": 1}],
        "success_url": "http://127.0.0.1:1/paid",
    }
    create = shop.client.v1.checkout.sessions.create

    first = create(params, {"idempotency_key": "order-1"})
    again = create(params, {"idempotency_key": "order-1"})

    assert again.id == first.id
    headers = again.last_response.headers  # type: ignore[union-attr] # it came from a response
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Original-Request"] == first.last_response.request_id  # type: ignore[union-attr]
    assert len(shop.client.v1.checkout.sessions.list().data) == 1


def test_a_refused_request_does_not_use_up_its_key(shop: Shop) -> None:
    options: Any = {"idempotency_key": "order-1"}
    with pytest.raises(stripe.InvalidRequestError):
        shop.client.v1.products.create({"name": ""}, options)

    assert shop.client.v1.products.create({"name": "Credits"}, options).name == "Credits"


def test_a_decline_is_replayed_under_its_key_without_a_second_charge(shop: Shop) -> None:
    params: Any = {
        "amount": 500,
        "currency": "usd",
        "confirm": True,
        "allowed_payment_method_types": ["card"],
        "payment_method": "pm_card_chargeDeclined",
        "return_url": "http://127.0.0.1:1/back",
    }
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            shop.client.v1.payment_intents.create(params, {"idempotency_key": "charge-1"})

    assert len(shop.client.v1.charges.list().data) == 1


def test_a_key_in_flight_is_refused_with_409(shop: Shop) -> None:
    shop.sandbox.set_switches(api_delay=2)
    options: Any = {"idempotency_key": "order-1"}
    results: list[object] = []

    def create() -> None:
        try:
            results.append(shop.client.v1.products.create({"name": "Credits"}, options))
        except stripe.StripeError as error:
            results.append(error.http_status)

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each for each in results if isinstance(each, int)] == [409]


Refusal = tuple[Callable[[Shop], object], type[stripe.StripeError], int, str | None, str | None]

REFUSALS: dict[str, Refusal] = {
    "unknown price": (
        lambda shop: shop.session(line_items=[{"price": "price_none", "quantity": 1}]),
        stripe.InvalidRequestError,
        400,
        "resource_missing",
        "line_items[0][price]",
    ),
    "unknown session": (
        lambda shop: shop.client.v1.checkout.sessions.retrieve("cs_none"),
        stripe.InvalidRequestError,
        404,
        "resource_missing",
        "session",
    ),
    "a parameter that was removed": (
        lambda shop: shop.session(payment_method_types=["card"]),
        stripe.InvalidRequestError,
        400,
        "parameter_unknown",
        "payment_method_types",
    ),
    "a parameter that never was": (
        lambda shop: shop.session(colour="blue"),
        stripe.InvalidRequestError,
        400,
        "parameter_unknown",
        "colour",
    ),
    "no line items": (
        lambda shop: shop.session(line_items=[]),
        stripe.InvalidRequestError,
        400,
        "parameter_missing",
        "line_items",
    ),
    "too little": (
        lambda shop: shop.session(amount=49),
        stripe.InvalidRequestError,
        400,
        "amount_too_small",
        None,
    ),
    "metadata too long": (
        lambda shop: shop.session(metadata={"note": "x" * 501}),
        stripe.InvalidRequestError,
        400,
        None,
        "metadata[note]",
    ),
    "an expansion that is none": (
        lambda shop: shop.client.v1.events.list({"expand": ["data.type"]}) if shop.paid() else None,
        stripe.InvalidRequestError,
        400,
        None,
        "expand",
    ),
    "a page too large": (
        lambda shop: shop.client.v1.events.list({"limit": 1000}),
        stripe.InvalidRequestError,
        400,
        "parameter_invalid_integer",
        "limit",
    ),
    "a cursor from nowhere": (
        lambda shop: shop.client.v1.events.list({"starting_after": "evt_none"}),
        stripe.InvalidRequestError,
        400,
        "resource_missing",
        "starting_after",
    ),
    "a declined card": (
        lambda shop: shop.client.v1.payment_intents.create(
            {
                "amount": 500,
                "currency": "usd",
                "confirm": True,
                "allowed_payment_method_types": ["card"],
                "payment_method": "pm_card_chargeDeclined",
                "return_url": "http://127.0.0.1:1/back",
            }
        ),
        stripe.CardError,
        402,
        "card_declined",
        None,
    ),
    "a refund of nothing": (
        lambda shop: [
            shop.client.v1.refunds.create({"payment_intent": intent})
            for intent in [shop.paid()["payment_intent"]] * 2
        ],
        stripe.InvalidRequestError,
        400,
        "charge_already_refunded",
        None,
    ),
    "an expiry of what is paid": (
        lambda shop: shop.client.v1.checkout.sessions.expire(shop.paid()["id"]),
        stripe.InvalidRequestError,
        400,
        None,
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_have_stripes_status_code_and_param(shop: Shop, name: str) -> None:
    request, kind, status, code, param = REFUSALS[name]

    with pytest.raises(kind) as refusal:
        request(shop)

    error = refusal.value
    assert (error.http_status, error.code) == (status, code)
    assert getattr(error, "param", None) == param
    assert error.user_message
    assert error.request_id is not None


def test_one_key_for_two_different_requests_is_an_idempotency_error(shop: Shop) -> None:
    options: Any = {"idempotency_key": "order-1"}
    shop.client.v1.products.create({"name": "Credits"}, options)

    with pytest.raises(stripe.IdempotencyError) as refusal:
        shop.client.v1.products.create({"name": "Debits"}, options)

    assert refusal.value.http_status == 400


@pytest.mark.parametrize("key", ["sk_live_0123456789abcdef", "rk_live_x", "pk_test_x", "nonsense"])
def test_only_test_keys_are_accepted(sandbox: RunningSandbox, key: str) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": sandbox.url})

    with pytest.raises(stripe.AuthenticationError) as refusal:
        client.v1.products.list()

    assert "accepts only test keys" in str(refusal.value)
    assert "0123456789" not in str(refusal.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, stripe.PermissionError), (429, stripe.RateLimitError), (500, stripe.APIError)],
)
def test_the_api_can_be_made_to_fail(
    shop: Shop, status: int, kind: type[stripe.StripeError]
) -> None:
    shop.sandbox.set_switches(api_error=status)

    with pytest.raises(kind) as refusal:
        shop.session()

    assert refusal.value.http_status == status


def test_a_server_that_is_gone_is_a_connection_error(shop: Shop) -> None:
    nowhere = stripe.StripeClient("sk_test_x", base_addresses={"api": "http://127.0.0.1:1"})

    with pytest.raises(stripe.APIConnectionError):
        nowhere.v1.products.list()


def test_updates_merge_metadata_and_an_empty_value_removes(shop: Shop) -> None:
    session = shop.session()

    updated = shop.client.v1.checkout.sessions.update(
        session.id, {"metadata": {"tier": "", "note": "hello"}}
    )

    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {**IDS, "note": "hello"}


def test_the_catalogue_can_be_written_and_read(shop: Shop) -> None:
    v1 = shop.client.v1
    product = v1.products.create({"name": "Credits"})
    price = v1.prices.create({"product": product.id, "currency": "eur", "unit_amount": 700})
    customer = v1.customers.create({"email": "a@example.com", "metadata": {"a": "1"}})
    v1.products.update(product.id, {"active": False})

    assert v1.prices.retrieve(price.id, {"expand": ["product"]}).unit_amount == 700
    assert v1.customers.list({"email": "a@example.com"}).data[0].id == customer.id
    assert product.id in [each.id for each in v1.products.list({"active": False}).data]
    assert price.id in [each.id for each in v1.prices.list({"product": product.id}).data]
