"""The webhook endpoint: what it accepts, what it refuses, and what it answers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from billing.models import EventStatus, Order, StripeEvent
from conversations.models import Conversation
from testing import stripe_events as stripe

pytestmark = pytest.mark.django_db


def post(body: bytes | str, signature: str | None) -> Any:
    headers = {} if signature is None else {"Stripe-Signature": signature}
    return Client().post(stripe.URL, body, content_type="application/json", headers=headers)


def signed(body: str, **how: Any) -> Any:
    return post(body, stripe.signature(body, **how))


def assert_refused(response: Any, code: str) -> None:
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert not StripeEvent.objects.exists()


def test_a_signed_event_is_stored_unchanged_and_settled(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    response = stripe.deliver(event)
    assert response.status_code == 200
    assert json.loads(response.content) == {"received": True}
    stored = StripeEvent.objects.get()
    assert stored.payload == event
    assert (stored.event_id, stored.type) == (event["id"], event["type"])
    assert stored.status == EventStatus.PROCESSED
    assert stored.attempts == 1
    assert stored.conversation == conversation
    assert stored.settled_at is not None


def test_the_route_answers_with_a_trailing_slash_too(conversation: Conversation) -> None:
    body = json.dumps(stripe.completed(conversation))
    response = Client().post(
        f"{stripe.URL}/",
        body,
        content_type="application/json",
        headers={"Stripe-Signature": stripe.signature(body)},
    )
    assert response.status_code == 200


def test_another_event_with_the_id_of_a_settled_one_changes_nothing(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    assert stripe.deliver(event).status_code == 200
    other = stripe.completed(conversation, amount_total="unreadable")
    assert stripe.deliver({**other, "id": event["id"]}).status_code == 200
    assert StripeEvent.objects.get().payload == event
    assert Order.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_other_methods_are_405_problems(method: str) -> None:
    response = getattr(Client(), method)(stripe.URL)
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "nonsense",
        "t=,v1=",
        "v1=abc",
        "t=abc,v1=abc",
        "t=1,v1=ümlaut",
        "t=\uff11,v1=0",
        "t=99999999999999999999999,v1=0",
        pytest.param("t" * 8000, id="long"),
    ],
)
def test_a_missing_or_malformed_signature_is_refused(header: str | None) -> None:
    encoded = None if header is None else header.encode().decode("latin-1")
    assert_refused(post('{"id": "evt_1"}', encoded), "invalid_signature")


def test_a_signature_by_another_secret_is_refused(conversation: Conversation) -> None:
    body = json.dumps(stripe.completed(conversation))
    assert_refused(signed(body, secret="whsec_of_somebody_else"), "invalid_signature")


def test_a_signature_over_other_bytes_is_refused(conversation: Conversation) -> None:
    body = json.dumps(stripe.completed(conversation))
    assert_refused(post(body + " ", stripe.signature(body)), "invalid_signature")


@pytest.mark.parametrize("seconds", [-301 - 5, 301 + 5])
def test_a_timestamp_off_by_more_than_five_minutes_is_refused(
    conversation: Conversation, seconds: int
) -> None:
    body = json.dumps(stripe.completed(conversation))
    assert_refused(signed(body, at=time.time() + seconds), "invalid_signature")


def test_any_of_several_secrets_may_have_signed(
    conversation: Conversation, settings: Settings
) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_old", "whsec_new"]
    for secret in ("whsec_old", "whsec_new"):
        assert signed(json.dumps(stripe.completed(conversation)), secret=secret).status_code == 200


def test_one_of_two_v1_signatures_and_a_decoy_v0_is_enough(conversation: Conversation) -> None:
    body = json.dumps(stripe.completed(conversation))
    timestamp, good = stripe.signature(body).split(",")
    header = f"{timestamp},v1={'0' * 64},{good},v0={'1' * 64}"
    assert post(body, header).status_code == 200


def test_a_v0_signature_alone_is_refused(conversation: Conversation) -> None:
    body = json.dumps(stripe.completed(conversation))
    header = stripe.signature(body).replace("v1=", "v0=")
    assert_refused(post(body, header), "invalid_signature")


def test_a_body_that_is_not_utf8_is_refused() -> None:
    assert_refused(post(b"\xff\xfe{}", stripe.signature("{}")), "invalid_signature")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        '"text"',
        "{}",
        "NaN",
        '{"id": "evt_1", "type": "x", "data": {"object": {"n": NaN}}}',
        '{"id": "evt_1", "type": "x", "data": {"object": {"n": 1e999}}}',
        '{"id": "evt_\\u0000", "type": "x", "data": {"object": {}}}',
        '{"id": "evt_1", "type": "\\ud800", "data": {"object": {}}}',
        '{"id": "evt_1", "type": "x"}',
        '{"id": "evt_1", "type": "x", "data": []}',
        '{"id": "evt_1", "type": "x", "data": {"object": "text"}}',
        '{"id": 1, "type": "x", "data": {"object": {}}}',
        '{"id": "", "type": "x", "data": {"object": {}}}',
        '{"id": "evt_1", "type": null, "data": {"object": {}}}',
        '{"id": "evt_1", "type": "x", "object": "charge", "data": {"object": {}}}',
        pytest.param(
            json.dumps({"id": "e" * 256, "type": "x", "data": {"object": {}}}), id="long id"
        ),
        pytest.param(
            json.dumps({"id": "evt_1", "type": "x" * 129, "data": {"object": {}}}), id="long type"
        ),
        pytest.param("[" * 100_000, id="deep"),
        '{"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found"}',
    ],
)
def test_a_signed_body_that_is_not_a_storable_event_is_refused(body: str) -> None:
    assert_refused(signed(body), "malformed_event")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("a\x00b\x00\x00", "a\ufffdb\ufffd\ufffd"),
        ("a\ud800b", "a?b"),
        ("a\\u0000b", "a\\u0000b"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_no_payment_is_refused_for_a_character_that_the_database_cannot_hold(
    conversation: Conversation, name: str, stored: str
) -> None:
    event = stripe.completed(conversation, customer_details={"name": name})
    assert stripe.deliver(event).status_code == 200
    kept = StripeEvent.objects.get()
    assert kept.payload["data"]["object"]["customer_details"] == {"name": stored}
    assert Order.objects.get().status == "completed"


def test_a_refused_signed_event_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    signed('{"id": "evt_1", "type": "x"}')
    assert "A signed event was refused: The event has no data.object." in caplog.text


def test_thin_events_are_refused_with_an_explanation() -> None:
    response = signed('{"id": "evt_1", "object": "v2.core.event", "type": "x"}')
    assert "Thin events are not handled" in response.json()["detail"]


def test_a_body_over_one_mebibyte_is_refused() -> None:
    body = json.dumps({"id": "evt_1", "type": "x", "data": {"object": {"s": "x" * 1024 * 1024}}})
    response = signed(body)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert not StripeEvent.objects.exists()


def test_an_unknown_type_is_stored_and_ignored() -> None:
    event = stripe.event("customer.created", {"id": "cus_1", "object": "customer"})
    assert stripe.deliver(event).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.IGNORED


def test_a_second_delivery_changes_nothing(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    assert stripe.deliver(event).status_code == 200
    before = StripeEvent.objects.values().get(), Order.objects.values().get()
    assert stripe.deliver(event).status_code == 200
    assert (StripeEvent.objects.values().get(), Order.objects.values().get()) == before


def test_a_duplicate_under_another_signature_is_not_stored_twice(
    conversation: Conversation,
) -> None:
    body = json.dumps(stripe.completed(conversation))
    assert signed(body, at=time.time() - 100).status_code == 200
    assert signed(body).status_code == 200
    assert StripeEvent.objects.count() == 1
