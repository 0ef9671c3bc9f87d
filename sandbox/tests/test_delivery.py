"""Webhook delivery: signatures, retries, log, acknowledgement, fault switches."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Final

import pytest
import stripe

from sandbox.testing import TEST_SECRET, RunningSandbox, running
from sandbox.tests.receiver import Receiver
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

COMPLETED: Final = "checkout.session.completed"


def completed(sandbox: RunningSandbox) -> str:
    """The id of the one completion event."""
    (event,) = sandbox.events(COMPLETED)
    identifier: str = event["id"]
    return identifier


def test_the_signature_is_over_the_timestamp_and_the_raw_body(
    shop: Shop, receiver: Receiver
) -> None:
    shop.paid()

    delivery = receiver.received[0]
    parts = [part.split("=", 1) for part in delivery.signature.split(",")]
    timestamp = dict(parts)["t"]
    expected = hmac.new(
        TEST_SECRET.encode(), timestamp.encode() + b"." + delivery.body, hashlib.sha256
    )
    assert [name for name, _ in parts] == ["t", "v1", "v0"]
    assert dict(parts)["v1"] == expected.hexdigest()
    assert abs(int(timestamp) - time.time()) < 60
    assert receiver.refused == []


def test_a_refused_delivery_is_repeated_with_a_fresh_signature(
    shop: Shop, receiver: Receiver
) -> None:
    receiver.answer = lambda event, attempt: 500 if attempt < 3 else 200

    shop.paid()

    event = completed(shop.sandbox)
    attempts = [each for each in receiver.received if each.event["id"] == event]
    assert [each.status for each in attempts] == [500, 500, 200]
    assert len({each.body for each in attempts}) == 1
    assert len({each.signature for each in attempts}) == 3
    assert shop.sandbox.object(event)["pending_webhooks"] == 0


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_anything_but_2xx_is_a_failure_and_the_schedule_ends(
    shop: Shop, receiver: Receiver, status: int
) -> None:
    shop.sandbox.set_options(ack_timeout=0.1)
    receiver.answer = lambda event, attempt: status

    shop.paid()

    attempts = shop.sandbox.deliveries(completed(shop.sandbox))
    assert [(each.attempt, each.status) for each in attempts] == [
        (number, status) for number in (1, 2, 3, 4)
    ]
    assert attempts[0].answer == "what the application says"
    undelivered = shop.client.v1.events.list({"delivery_success": False, "type": COMPLETED})
    assert len(undelivered.data) == 1


def test_checkout_waits_for_the_acknowledgement(shop: Shop, receiver: Receiver) -> None:
    receiver.answer = lambda event, attempt: 500 if attempt < 3 else 200
    session = shop.session()

    shop.sandbox.pay(session.id)

    assert COMPLETED in receiver.types()


def test_checkout_stops_waiting_when_its_time_is_over() -> None:
    with running(webhook="http://127.0.0.1:1/nobody", ack_timeout=0.2) as sandbox:
        client = stripe.StripeClient("sk_test_x", base_addresses={"api": sandbox.url})
        session = Shop(sandbox, client).session()
        began = time.monotonic()

        outcome = sandbox.pay(session.id)

        assert outcome.status == "succeeded"
        assert 0.2 <= time.monotonic() - began < 2
        assert {each.error for each in sandbox.deliveries()} == {"Connection refused"}


def test_both_secrets_sign_while_one_replaces_the_other(shop: Shop, receiver: Receiver) -> None:
    fresh = shop.sandbox.roll_webhook_secret()
    shop.paid()
    with_the_old = len(receiver.received)
    receiver.secret = fresh
    shop.paid()

    assert receiver.refused == []
    assert with_the_old
    assert len(receiver.received) > with_the_old
    assert {each.signature.count("v1=") for each in receiver.received} == {2}
    shop.sandbox.advance_clock(24 * 3600 + 1)
    receiver.received.clear()
    shop.paid()
    assert {each.signature.count("v1=") for each in receiver.received} == {1}


def test_an_event_sent_again_keeps_its_id(shop: Shop, receiver: Receiver) -> None:
    shop.paid()
    event = completed(shop.sandbox)

    shop.client.raw_request("post", f"/v1/events/{event}/retry")

    receiver.wait_for(COMPLETED, count=2)
    assert len([each for each in receiver.received if each.event["id"] == event]) == 2


def test_what_is_sent_by_hand_is_sent_once(shop: Shop, receiver: Receiver) -> None:
    shop.paid()
    event = completed(shop.sandbox)
    receiver.answer = lambda event, attempt: 500

    shop.sandbox.resend(event)

    shop.sandbox.wait_idle()
    assert [each.status for each in shop.sandbox.deliveries(event)] == [200, 500]


def test_events_can_be_delivered_twice(shop: Shop, receiver: Receiver) -> None:
    shop.sandbox.set_switches(match=COMPLETED, duplicate=True)

    shop.paid()

    assert receiver.types().count(COMPLETED) == 2
    assert receiver.types().count("charge.succeeded") == 1


def test_events_can_be_dropped_and_are_then_found_undelivered(
    shop: Shop, receiver: Receiver
) -> None:
    shop.sandbox.set_options(ack_timeout=0.1)
    shop.sandbox.set_switches(match="checkout.*", drop=True)

    shop.paid()

    assert COMPLETED not in receiver.types()
    undelivered = shop.client.v1.events.list({"delivery_success": False})
    assert [event.type for event in undelivered.data] == [COMPLETED]


def test_attempts_can_be_made_to_fail_unsent(shop: Shop, receiver: Receiver) -> None:
    shop.sandbox.set_switches(match=COMPLETED, fail_first=2)

    shop.paid()

    attempts = shop.sandbox.deliveries(completed(shop.sandbox))
    assert [each.status for each in attempts] == [None, None, 200]
    assert receiver.types().count(COMPLETED) == 1


def test_deliveries_can_be_delayed_and_shuffled(shop: Shop, receiver: Receiver) -> None:
    shop.sandbox.set_switches(match=COMPLETED, delay=1, shuffle=0.05)
    began = time.monotonic()

    shop.sandbox.pay(shop.session().id)

    assert time.monotonic() - began >= 1
    assert receiver.types().index("charge.succeeded") < receiver.types().index(COMPLETED)


def test_an_endpoint_hears_what_it_asks_for_and_nothing_once_disabled(
    shop: Shop, receiver: Receiver
) -> None:
    endpoints = shop.client.v1.webhook_endpoints
    shop.client.v1.webhook_endpoints.delete(endpoints.list().data[0].id)
    endpoint = endpoints.create({"url": receiver.url, "enabled_events": [COMPLETED]})
    receiver.secret = str(endpoint.secret)
    shop.paid()

    endpoints.update(endpoint.id, {"disabled": True})
    shop.paid()

    assert receiver.types() == [COMPLETED]
    assert receiver.refused == []


def test_a_secret_is_told_when_it_is_made_and_never_again(shop: Shop) -> None:
    endpoints = shop.client.v1.webhook_endpoints
    made = endpoints.create({"url": "http://127.0.0.1:1/x", "enabled_events": ["*"]})

    rolled = shop.client.raw_request("post", f"/v1/webhook_endpoints/{made.id}/roll_secret")

    assert str(made.secret).startswith("whsec_")
    assert rolled.data["secret"] != made.secret
    assert rolled.data["secret"].startswith("whsec_")
    assert "secret" not in endpoints.retrieve(made.id).to_dict()
    assert "secret" not in endpoints.list().data[0].to_dict()


def test_events_name_the_request_that_caused_them(shop: Shop) -> None:
    refund_key = "refund-1"
    paid = shop.paid()

    refund = shop.client.v1.refunds.create(
        {"payment_intent": paid["payment_intent"]}, {"idempotency_key": refund_key}
    )

    caused = shop.sandbox.events("refund.created")[-1]["request"]
    response = refund.last_response
    assert response is not None
    assert caused == {"id": response.request_id, "idempotency_key": refund_key}
    by_the_customer = shop.sandbox.events(COMPLETED)[-1]["request"]
    assert by_the_customer == {"id": None, "idempotency_key": None}
