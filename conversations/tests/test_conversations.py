from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import IntegrityError
from rest_framework.test import APIClient

from accounts.models import User
from conversations.models import Conversation, PaymentStatus
from testing.factories import ConversationFactory

pytestmark = pytest.mark.django_db

ApiOf = Callable[[User], APIClient]


def test_a_conversation_is_created_unpaid_and_read_back(stranger: User, api_of: ApiOf) -> None:
    client = api_of(stranger)
    created = client.post("/api/conversations", {"title": "Hello"}, format="json")
    assert created.status_code == 201
    body = created.json()
    assert (body["title"], body["paymentStatus"]) == ("Hello", "unpaid")
    assert body["createdAt"].endswith("Z")
    assert client.get(f"/api/conversations/{body['id']}").json() == body
    assert client.get("/api/conversations").json()["conversations"] == [body]


def test_payment_status_and_owner_cannot_be_written(
    conversation: Conversation, stranger: User, api_of: ApiOf
) -> None:
    body = {"title": "x", "paymentStatus": "paid", "payment_status": "paid", "user": 1}
    created = api_of(stranger).post("/api/conversations", body, format="json").json()
    assert created["paymentStatus"] == "unpaid"
    assert Conversation.objects.get(pk=created["id"]).user == stranger
    patched = api_of(conversation.user).patch(
        f"/api/conversations/{conversation.pk}", body, format="json"
    )
    assert patched.status_code == 405


@pytest.mark.parametrize("title", [None, "", "   ", "x" * 201, ["a"], {"a": 1}, "nul\x00"])
def test_a_bad_title_is_pointed_at(stranger: User, api_of: ApiOf, title: object) -> None:
    response = api_of(stranger).post("/api/conversations", {"title": title}, format="json")
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/title"


def test_anothers_conversation_is_as_if_it_did_not_exist(
    conversation: Conversation, stranger: User, api_of: ApiOf
) -> None:
    client = api_of(stranger)
    anothers = client.get(f"/api/conversations/{conversation.pk}")
    missing = client.get("/api/conversations/999999999")
    assert anothers.status_code == missing.status_code == 404
    assert anothers.json() == missing.json()
    assert client.get("/api/conversations").json()["conversations"] == []


def test_long_lists_come_in_pages(stranger: User, api_of: ApiOf) -> None:
    ConversationFactory.create_batch(51, user=stranger)
    first = api_of(stranger).get("/api/conversations").json()
    assert len(first["conversations"]) == 50
    second = api_of(stranger).get(first["next"]).json()
    assert len(second["conversations"]) == 1
    assert second["next"] is None


def test_an_unknown_payment_status_is_refused_by_the_database(conversation: Conversation) -> None:
    with pytest.raises(IntegrityError):
        Conversation.objects.filter(pk=conversation.pk).update(payment_status="maybe")


def test_paid_stays_paid_after_a_later_failure_or_link(conversation: Conversation) -> None:
    conversation.mark_paid("cs_test_1")
    conversation.fail()
    conversation.mark_pending("cs_test_2")
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PAID
    assert conversation.stripe_session_id == "cs_test_1"
