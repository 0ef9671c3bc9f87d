"""`GET /api/service/events`: what another backend learns, and in what order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.models import ApiKey
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import backend_client, bearer
from testing.factories import ConversationFactory, UserFactory
from testing.keys import issued_key

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
PATH = "/api/service/events"


@pytest.fixture
def backend() -> APIClient:
    return backend_client()


def listed(backend: APIClient, **parameters: int) -> list[Json]:
    response = backend.get(PATH, parameters)
    assert response.status_code == 200
    events: list[Json] = response.json()["events"]
    return events


def test_a_payment_its_key_and_its_refund_are_told_in_order(backend: APIClient) -> None:
    user = UserFactory.create(external_id="u-1")
    conversation = ConversationFactory.create(
        user=user, external_id="c-1", metadata={"team": "analytics"}
    )
    paid = stripe.completed(conversation)
    stripe.deliver(paid)
    key = issued_key(conversation.orders.get())
    api = bearer(issue_access(user))
    api.post(f"/api/api-keys/{key.pk}/reveal")
    successor = api.post(f"/api/api-keys/{key.pk}/rotate").json()["id"]
    session = paid["data"]["object"]
    refund = stripe.refund(session["payment_intent"])
    stripe.deliver(stripe.event("refund.created", refund))
    events = listed(backend)
    assert [event["type"] for event in events] == [
        *("order.completed", "key.issued", "key.revealed", "key.rotated"),
        *("order.refunded", "key.revoked"),
    ]
    for event in events:
        data = event["data"]
        assert data["userId"], data["userExternalId"] == (user.pk, "u-1")
        assert (data["conversationId"], data["conversationExternalId"]) == (conversation.pk, "c-1")
        assert data["conversationMetadata"] == {"team": "analytics"}
        assert event["timestamp"].endswith("Z")
    order = conversation.orders.get()
    assert events[0]["data"]["orderId"] == order.pk
    assert events[0]["data"]["amountCents"] == 2000
    assert (events[3]["data"]["keyIds"], events[3]["data"]["replacedKeyIds"]) == (
        [successor],
        [key.pk],
    )
    assert events[4]["data"]["refundedCents"] == 2000
    assert events[5]["data"]["keyIds"] == [key.pk, successor]
    assert events[5]["data"]["by"] == "payment"


def test_pages_follow_each_other_and_end(backend: APIClient) -> None:
    for _ in range(3):
        stripe.deliver(stripe.completed(ConversationFactory.create()))
    found: list[Json] = []
    after = 0
    while page := listed(backend, after=after, limit=2):
        assert len(page) <= 2
        found += page
        after = page[-1]["position"]
    assert [event["position"] for event in found] == list(range(1, 7))
    assert len({event["id"] for event in found}) == 6


def test_replaying_tells_nothing_again(backend: APIClient, conversation: Conversation) -> None:
    paid = stripe.completed(conversation)
    intent = paid["data"]["object"]["payment_intent"]
    dispute = stripe.dispute(intent)
    won = {**dispute, "status": "won"}
    late = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    for event in (
        paid,
        stripe.event("charge.dispute.created", dispute),
        stripe.event("charge.dispute.closed", won, created=int(late)),
        stripe.event("refund.created", stripe.refund(intent, 500)),
    ):
        stripe.deliver(event)
    before = listed(backend)
    assert [event["type"] for event in before] == [
        *("order.completed", "key.issued", "dispute.opened", "key.suspended", "dispute.closed"),
        *("key.restored", "order.refunded"),
    ]
    call_command("replay_events", "--force", verbosity=0)
    assert listed(backend) == before


def test_no_event_holds_a_key_or_a_hash(backend: APIClient, conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    key = issued_key(conversation.orders.get())
    api = bearer(issue_access(conversation.user))
    shown = api.post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    response = backend.get(PATH).content.decode()
    stored = ApiKey.objects.get(pk=key.pk)
    for secret in (shown, stored.key_hash, stored.key_prefix, "sk_"):
        assert secret not in response


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=101", "position=1"])
def test_a_wrong_parameter_is_refused(backend: APIClient, query: str) -> None:
    response = backend.get(f"{PATH}?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")


def test_only_a_service_token_opens_it(stranger: User) -> None:
    assert bearer(issue_access(stranger)).get(PATH).status_code == 401
    assert APIClient().get(PATH).status_code == 401


def test_a_page_is_a_few_queries_however_long(backend: APIClient) -> None:
    for _ in range(5):
        stripe.deliver(stripe.completed(ConversationFactory.create()))
    listed(backend)
    with CaptureQueriesContext(connection) as captured:
        assert len(listed(backend)) == 10
    assert len(captured) < 14
