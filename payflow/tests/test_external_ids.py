"""Conversations with another backend's id and metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from conversations.models import Conversation
from testing.clients import bearer
from testing.concurrency import concurrently
from testing.factories import UserFactory

pytestmark = pytest.mark.django_db

URL = "/api/conversations"
ApiOf = Callable[[User], APIClient]
BODY = {"title": "Plan", "externalId": "order/7", "metadata": {"seats": "5", "plan": ""}}


@pytest.fixture
def api(stranger: User, api_of: ApiOf) -> APIClient:
    return api_of(stranger)


def create(api: APIClient, key: str | None = None, **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    text = json.dumps({**BODY, **body})
    return api.post(URL, text, content_type="application/json", headers=headers)


def test_both_come_back_in_every_answer(api: APIClient) -> None:
    made = create(api)
    assert made.status_code == 201
    assert (made.json()["externalId"], made.json()["metadata"]) == ("order/7", BODY["metadata"])
    assert api.get(made.headers["Location"]).json() == made.json()
    assert api.get(URL).json()["conversations"] == [made.json()]


def test_without_them_they_are_null_and_empty(api: APIClient) -> None:
    made = api.post(URL, {"title": "Plan"}, format="json").json()
    assert (made["externalId"], made["metadata"]) == (None, {})


def test_psql_needs_neither(stranger: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO conversations (user_id, title) VALUES (%s, 'Test')", [stranger.pk]
        )
    assert Conversation.objects.get().metadata == {}


def test_an_external_id_is_unique_among_a_users_conversations(
    api: APIClient, api_of: ApiOf
) -> None:
    first = create(api).json()
    again = create(api, title="Another")
    assert again.status_code == 400
    (fault,) = again.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/externalId", "unique")
    assert create(api_of(UserFactory.create())).status_code == 201
    found = api.get(URL, {"externalId": "order/7"}).json()["conversations"]
    assert [row["id"] for row in found] == [first["id"]]
    assert api.get(URL, {"externalId": "other"}).json()["conversations"] == []


def test_a_repeat_with_an_idempotency_key_makes_one_row(api: APIClient) -> None:
    first, again = create(api, "key"), create(api, "key")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Conversation.objects.count() == 1
    others: list[dict[str, Any]] = [{"title": "Other"}, {"externalId": "8"}, {"metadata": {}}]
    for body in others:
        response = create(api, "key", **body)
        assert (response.status_code, response.json()["code"]) == (409, "idempotency_key_reused")
    other = create(api, "another-key")
    assert other.status_code == 400


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("key", "statuses"), [("key", [201] * 4), (None, [201, 400, 400, 400])])
def test_concurrent_requests_make_one_row(key: str | None, statuses: list[int]) -> None:
    token = issue_access(UserFactory.create())
    answers = concurrently(*[lambda: create(bearer(token), key)] * 4)
    assert sorted(answer.status_code for answer in answers) == statuses
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize(
    "metadata",
    [
        *[None, [], "text", 7, {"a": 1}, {"a": None}, {"a": {}}, {"": "a"}, {"a" * 41: "b"}],
        *[{"a": "b" * 501}, {str(number): "" for number in range(51)}, {"a": "\0"}, {"\0": "a"}],
        *[{"a": "\ud800"}, {"a": "sk_" + "0" * 64}, {"sk_" + "0" * 30: "a"}],
    ],
)
def test_metadata_is_a_small_object_of_texts_without_secrets(api: APIClient, metadata: Any) -> None:
    response = create(api, metadata=metadata)
    assert response.status_code == 400
    assert [fault["pointer"] for fault in response.json()["errors"]] == ["/metadata"]
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("external_id", ["", "a" * 256, "a\nb", "\0", 7, "\ud800"])
def test_a_bad_external_id_is_refused(api: APIClient, external_id: Any) -> None:
    response = create(api, externalId=external_id)
    assert response.status_code == 400
    assert {fault["pointer"] for fault in response.json()["errors"]} == {"/externalId"}


def test_the_largest_metadata_is_kept(api: APIClient) -> None:
    metadata = {f"{number:040}": "é" * 500 for number in range(50)}
    assert create(api, metadata=metadata).json()["metadata"] == metadata
