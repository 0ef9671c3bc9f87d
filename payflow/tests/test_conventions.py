"""What holds for every route of the API: parameters, pages, headers, repeats, JSON types."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from billing.models import Order
from conversations.models import Conversation
from payflow.openapi.answers import operations
from payflow.openapi.document import document
from testing import stripe_events as stripe
from testing.clients import backend_client, bearer
from testing.factories import PASSWORD, ConversationFactory, UserFactory
from testing.keys import paid_key, revealed_key

pytestmark = pytest.mark.django_db

ApiOf = Callable[[User], APIClient]
ROUTES = [
    (method, path.replace("{id}", "1"))
    for path, method, operation in operations(document())
    if path.startswith("/api/")
    and operation["operationId"] not in ("api_keys_verify", "stripe_event")
]


# --- Parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_unknown_parameter_is_refused_on_every_route(
    conversation: Conversation, api_of: ApiOf, method: str, path: str
) -> None:
    key = paid_key(conversation)
    path = path.replace("/1", f"/{key.pk if 'api-keys' in path else conversation.pk}")
    client = backend_client() if "/service/" in path else api_of(conversation.user)
    response = getattr(client, method)(f"{path}?colour=red&api_key=sk_1")
    assert response.status_code == 400
    body = response.json()
    assert body["code"] == "invalid_parameter"
    assert {fault["parameter"] for fault in body["errors"]} == {"colour", "api_key"}


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "authorization"])
def test_an_api_key_in_a_url_authenticates_nobody(stranger: User, name: str) -> None:
    _, secret = revealed_key(stranger)
    assert Client().get("/api/conversations", {name: secret}).status_code == 401
    assert Client().get("/api/api-keys/verify", {name: secret}).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=x", "limit=-1", "limit=", "limit=1e1", "limit=1&limit=2"),
        *("limit=99999999999999999999999", "cursor=x", "cursor=cD1hYmM=", "cursor=cD0xZTk5"),
        *("paymentStatus=nothing", "paymentStatus=", "createdAfter=yesterday", "createdBefore="),
        "paymentStatus=paid&paymentStatus=unpaid",
    ],
)
def test_a_wrong_parameter_is_named(stranger: User, api_of: ApiOf, query: str) -> None:
    response = api_of(stranger).get(f"/api/conversations?{query}")
    assert response.status_code == 400
    assert [f["parameter"] for f in response.json()["errors"]] == [query.partition("=")[0]]


def test_conversations_are_filtered_by_status_and_time(stranger: User, api_of: ApiOf) -> None:
    old, paid, new = ConversationFactory.create_batch(3, user=stranger)
    paid.mark_paid("cs_test_1")
    past = timezone.now() - timedelta(days=2)
    Conversation.objects.filter(pk=old.pk).update(created_at=past)
    client = api_of(stranger)

    def ids(query: dict[str, str]) -> list[int]:
        listed = client.get("/api/conversations", query).json()["conversations"]
        return [each["id"] for each in listed]

    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert ids({"paymentStatus": "paid"}) == [paid.pk]
    assert ids({"createdAfter": yesterday}) == [new.pk, paid.pk]
    assert ids({"createdBefore": yesterday}) == [old.pk]
    assert ids({"createdAfter": yesterday, "paymentStatus": "unpaid"}) == [new.pk]


def test_orders_are_filtered_by_status_and_conversation(
    conversation: Conversation, api_of: ApiOf
) -> None:
    other = ConversationFactory.create(user=conversation.user)
    stripe.deliver(stripe.completed(conversation))
    stripe.deliver(stripe.completed(other, payment_status="unpaid"))
    client = api_of(conversation.user)

    def of(query: dict[str, Any]) -> list[int]:
        listed = client.get("/api/orders", query).json()["orders"]
        return [each["conversationId"] for each in listed]

    assert of({}) == [other.pk, conversation.pk]
    assert of({"status": "completed"}) == [conversation.pk]
    assert of({"status": "failed"}) == []
    assert of({"conversationId": other.pk}) == [other.pk]
    assert of({"conversationId": other.pk, "status": "completed"}) == []


def test_pages_lead_forth_and_back(stranger: User, api_of: ApiOf) -> None:
    made = [c.pk for c in ConversationFactory.create_batch(5, user=stranger)][::-1]
    client = api_of(stranger)
    first = client.get("/api/conversations", {"limit": "2", "paymentStatus": "unpaid"}).json()
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    pages = [[c["id"] for c in page["conversations"]] for page in (first, second, third)]
    assert pages == [made[:2], made[2:4], made[4:]]
    assert first["previous"] is third["next"] is None
    back = client.get(third["previous"]).json()
    assert [c["id"] for c in back["conversations"]] == made[2:4]


@pytest.mark.parametrize("path", ["/api/conversations", "/api/orders", "/api/api-keys"])
def test_a_list_is_one_query_however_long(
    conversation: Conversation, api_of: ApiOf, path: str
) -> None:
    for _ in range(3):
        paid_key(ConversationFactory.create(user=conversation.user))
    _, secret = revealed_key(conversation.user)
    client = bearer(secret)
    client.get(path)  # notes the key's use
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    assert len([q for q in captured.captured_queries if "key_hash = " not in q["sql"]]) == 1


# --- Headers ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_one_minute")
def test_a_request_by_key_says_what_is_left_of_the_limit(
    stranger: User, settings: Settings
) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = 2
    _, secret = revealed_key(stranger)
    client = bearer(secret)
    for path, left in (("/api/conversations", 1), ("/api/api-keys/verify", 0)):
        answer = client.get(path)
        assert answer.headers["RateLimit-Policy"] == '"key";q=2;w=60'
        assert re.fullmatch(rf'"key";r={left};t=\d+', answer.headers["RateLimit"])
    refused = client.get("/api/conversations")
    assert refused.status_code == 429
    assert refused.headers["RateLimit"].startswith('"key";r=0;t=')
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.usefixtures("in_one_minute")
def test_a_failed_authentication_says_what_is_left_of_the_limit(settings: Settings) -> None:
    settings.FAILED_AUTHENTICATIONS_PER_MINUTE = 2
    client = bearer("sk_" + 64 * "0")
    answers = [client.get("/api/conversations") for _ in range(3)]
    assert [a.status_code for a in answers] == [401, 401, 429]
    assert [a.headers["RateLimit"].split(";")[1] for a in answers] == ["r=1", "r=0", "r=0"]


@pytest.mark.usefixtures("in_one_minute")
def test_a_request_by_token_says_what_is_left_to_the_account(
    stranger: User, api_of: ApiOf, settings: Settings
) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = 5
    answer = api_of(stranger).get("/api/conversations")
    assert answer.headers["RateLimit-Policy"] == '"account";q=5;w=60'
    assert answer.headers["RateLimit"].startswith('"account";r=4;t=')
    settings.API_KEY_REQUESTS_PER_MINUTE = 0
    assert "RateLimit" not in api_of(stranger).get("/api/conversations").headers


@pytest.mark.parametrize("path", ["", "/{id}"])
def test_a_conditional_get_is_304_until_something_changes(
    conversation: Conversation, api_of: ApiOf, path: str
) -> None:
    client = api_of(conversation.user)
    url = "/api/conversations" + path.format(id=conversation.pk)
    first = client.get(url)
    assert first.headers["Cache-Control"] == "private, no-cache"
    etag = first.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"another", {etag}', "*"):
        again = client.get(url, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
    conversation.mark_paid("cs_test_1")
    changed = client.get(url, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_an_answer_with_a_key_is_stored_nowhere(conversation: Conversation, api_of: ApiOf) -> None:
    key = paid_key(conversation)
    revealed = api_of(conversation.user).post(f"/api/api-keys/{key.pk}/reveal")
    assert revealed.headers["Cache-Control"] == "no-store"
    assert "ETag" not in revealed.headers


def test_what_is_created_has_an_address(conversation: Conversation, api_of: ApiOf) -> None:
    key = paid_key(conversation)
    client = api_of(conversation.user)
    created = [
        client.post("/api/conversations", {"title": "x"}, format="json"),
        client.post("/api/api-keys", {"name": "x"}, format="json"),
        client.post(f"/api/api-keys/{key.pk}/rotate", {}, format="json"),
    ]
    for answer in created:
        assert answer.status_code == 201
        found = client.get(answer.headers["Location"]).json()
        assert found["id"] == answer.json()["id"]
        assert "key" not in found


def test_a_browser_of_another_origin_may_read_and_send_the_headers(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "idempotency-key,if-none-match,payflow-version",
    }
    preflight = Client().options("/api/conversations", headers=asked)
    allowed = preflight.headers["Access-Control-Allow-Headers"]
    assert set(asked["Access-Control-Request-Headers"].split(",")) <= set(allowed.split(", "))
    headers = {"Origin": "https://app.example.com"}
    answer = Client().get("/api/schema", headers=headers)
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"etag", "location", "ratelimit", "retry-after", "payflow-version"} <= set(exposed)
    headers["If-None-Match"] = answer.headers["ETag"]
    unchanged = Client().get("/api/schema", headers=headers)
    assert unchanged.status_code == 304
    assert unchanged.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


# --- Repeats ------------------------------------------------------------------------------------


def start(client: APIClient, title: str, key: str) -> Any:
    headers = {"Idempotency-Key": key}
    return client.post("/api/conversations", {"title": title}, format="json", headers=headers)


def test_a_repeat_makes_one_conversation(stranger: User, api_of: ApiOf) -> None:
    client = api_of(stranger)
    first, again = start(client, "One", "k-1"), start(client, " One ", "k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Conversation.objects.count() == 1
    assert start(client, "One", "k-2").json()["id"] != first.json()["id"]
    different = start(client, "Two", "k-1")
    assert (different.status_code, different.json()["code"]) == (409, "idempotency_key_reused")


def test_two_users_may_use_one_idempotency_key(
    conversation: Conversation, stranger: User, api_of: ApiOf
) -> None:
    mine = start(api_of(stranger), "x", "k-1").json()
    theirs = start(api_of(conversation.user), "y", "k-1").json()
    assert mine["id"] != theirs["id"]
    assert "k-1" not in str(Conversation.objects.values_list("idempotency_digest", flat=True))


# --- JSON types, lengths, times, passwords ------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/api/conversations", {"title": 0}, "/title"),
        ("/api/conversations", {"title": True}, "/title"),
        ("/api/conversations", {"title": 200 * "x" + " "}, "/title"),
        ("/api/payments/link", {"conversationId": "1"}, "/conversationId"),
        ("/api/payments/link", {"conversationId": True}, "/conversationId"),
        ("/api/payments/link", {"conversationId": 1.5}, "/conversationId"),
        ("/api/payments/link", {"conversationId": 0}, "/conversationId"),
        ("/api/payments/link", {"conversationId": 1, "tier": 7}, "/tier"),
        ("/api/payments/link", {"conversationId": 1, "tier": ""}, "/tier"),
        ("/api/api-keys", {"name": 0}, "/name"),
        ("/api/api-keys", {"name": "x", "expiresAt": 1795685400}, "/expiresAt"),
        ("/api/auth/token", {"email": 1, "password": "x"}, "/email"),
        ("/api/auth/token", {"email": "x", "password": 1234}, "/password"),
        ("/api/auth/token", {"email": "x", "password": 129 * "x"}, "/password"),
        ("/api/auth/token/refresh", {"refresh": 7}, "/refresh"),
    ],
)
def test_a_value_of_another_json_type_or_length_is_refused(
    conversation: Conversation, api_of: ApiOf, path: str, body: dict[str, Any], pointer: str
) -> None:
    paid_key(conversation)
    response = api_of(conversation.user).post(path, body, format="json")
    assert response.status_code == 400
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]


def test_a_whole_number_may_be_written_as_a_float(stranger: User, api_of: ApiOf) -> None:
    response = api_of(stranger).post("/api/payments/link", {"conversationId": 1.0}, format="json")
    assert response.status_code == 404


def test_updated_at_is_not_before_created_at(stranger: User, api_of: ApiOf) -> None:
    client = api_of(stranger)
    for number in range(5):
        body = client.post("/api/conversations", {"title": str(number)}, format="json").json()
        assert body["createdAt"] <= body["updatedAt"]


def test_a_change_of_name_says_what_it_requires(conversation: Conversation, api_of: ApiOf) -> None:
    key = paid_key(conversation)
    response = api_of(conversation.user).patch(f"/api/api-keys/{key.pk}", {}, format="json")
    assert response.status_code == 400
    assert response.json()["errors"][0] == {
        "pointer": "/name",
        "code": "required",
        "detail": "This field is required.",
    }


def test_the_longest_password_that_can_be_set_signs_in_by_the_api(admin_client: Client) -> None:
    user = UserFactory.create(password=PASSWORD)
    url = f"/admin/accounts/user/{user.pk}/password/"
    for length, accepted in ((129, False), (128, True)):
        password = "correct horse " + (length - 14) * "x"
        body = {"usable_password": "true", "password1": password, "password2": password}
        assert (admin_client.post(url, body).status_code == 302) is accepted
    body = {"email": user.email, "password": password}
    assert APIClient().post("/api/auth/token", body, format="json").status_code == 200


def test_every_order_has_the_described_members(conversation: Conversation, api_of: ApiOf) -> None:
    key = paid_key(conversation)
    order = Order.objects.get()
    listed = api_of(conversation.user).get("/api/orders").json()["orders"]
    assert listed == [api_of(conversation.user).get(f"/api/orders/{order.pk}").json()]
    described = document()["components"]["schemas"]["Order"]["properties"]
    assert set(listed[0]) == set(described)
    assert listed[0]["apiKeyId"] == key.pk
    assert listed[0]["disputeStatus"] is None


def test_a_key_has_the_described_members(conversation: Conversation, api_of: ApiOf) -> None:
    paid_key(conversation)
    listed = api_of(conversation.user).get("/api/api-keys").json()["keys"]
    described = document()["components"]["schemas"]["ApiKey"]["properties"]
    assert list(listed[0]) == list(described)


def test_a_conversation_has_the_described_members(stranger: User) -> None:
    ConversationFactory.create(user=stranger)
    listed = bearer(issue_access(stranger)).get("/api/conversations").json()["conversations"]
    described = document()["components"]["schemas"]["Conversation"]["properties"]
    assert set(listed[0]) == set(described)
