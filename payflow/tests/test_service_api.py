"""`/api/service/`: service tokens, users by external id, and tokens for them."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import ServiceToken, User
from accounts.tokens import issue_access
from apikeys.models import ApiKey
from conversations.models import Conversation
from support.models import SupportAction
from support.roles import create_roles
from testing.clients import backend_client, bearer
from testing.concurrency import concurrently
from testing.factories import UserFactory
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

USER = {"email": "ada@example.com", "name": "Ada Lovelace"}


def service_token(name: str = "backend") -> str:
    out = StringIO()
    call_command("issue_service_token", name, stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def backend(db: None) -> APIClient:
    return backend_client()


def path_of(external_id: str) -> str:
    return f"/api/service/users/{quote(external_id, safe='')}"


def put(client: APIClient, external_id: str, **body: Any) -> Any:
    return client.put(path_of(external_id), {**USER, **body}, format="json")


def test_the_command_prints_the_token_alone_and_only_its_hash_is_stored() -> None:
    token = service_token()
    assert re.fullmatch(r"svc_[0-9a-f]{64}", token)
    row = ServiceToken.objects.get()
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert token.startswith(row.prefix)
    assert len(row.prefix) == 12


@pytest.mark.parametrize("name", ["", "two words", "a" * 65, "line\nfeed", "näme", ".x"])
def test_a_name_that_the_access_log_cant_show_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="A name is"):
        service_token(name)


def test_a_name_is_of_one_working_token() -> None:
    service_token()
    with pytest.raises(CommandError, match="There is a token named backend"):
        service_token()
    ServiceToken.objects.update(revoked_at=timezone.now())
    service_token()


def test_a_service_token_opens_the_service_api_and_nothing_else(conversation: Conversation) -> None:
    backend = bearer(service_token())
    assert put(backend, "1").status_code == 200
    for method, path in (
        ("get", "/api/conversations"),
        ("get", f"/api/conversations/{conversation.pk}"),
        ("post", "/api/conversations"),
        ("get", "/api/orders"),
        ("get", "/api/api-keys"),
        ("post", "/api/payments/link"),
        ("get", "/api/api-keys/verify"),
    ):
        response = getattr(backend, method)(path)
        assert response.status_code == 401, path
        assert response.json()["code"] in ("authentication_failed", "not_authenticated")


def test_no_other_credential_opens_the_service_api(
    conversation: Conversation, api_of: Callable[[User], APIClient]
) -> None:
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    session = APIClient()
    session.force_login(staff)
    callers = [APIClient(), session, api_of(staff), bearer(revealed_key(staff)[1])]
    callers += [bearer("svc_" + "0" * 64), bearer("svc_x")]
    put(bearer(service_token()), "mine")
    for caller in callers:
        for method in ("get", "put", "delete"):
            response = getattr(caller, method)("/api/service/users/mine")
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
        assert caller.post("/api/service/users/mine/token").status_code == 401
    assert User.objects.filter(external_id="mine").exists()


def test_a_revoked_token_is_refused(db: None) -> None:
    create_roles()
    token = service_token()
    row = ServiceToken.objects.get()
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    desk = Client()
    desk.force_login(staff)
    page = reverse("admin:accounts_servicetoken_change", args=[row.pk])
    assert row.name in desk.get(reverse("admin:accounts_servicetoken_changelist")).text
    assert row.token_hash not in desk.get(page).text
    url = reverse("admin:accounts_servicetoken_action", args=[row.pk, "revoke_service_token"])
    form = desk.get(url).context["form"]
    desk.post(url, {"reason": "it leaked", "token": form["token"].value()})
    assert bearer(token).get(path_of("1")).status_code == 401
    action = SupportAction.objects.get()
    assert (action.kind, action.service_token, action.result) == (
        *("revoke_service_token", row),
        "done",
    )


def test_the_last_use_is_shown_to_the_minute(backend: APIClient) -> None:
    backend.get(path_of("1"))
    first = ServiceToken.objects.get().last_used_at
    assert first is not None
    backend.get(path_of("1"))
    assert ServiceToken.objects.get().last_used_at == first
    ServiceToken.objects.update(last_used_at=first - timedelta(minutes=2))
    backend.get(path_of("1"))
    again = ServiceToken.objects.get().last_used_at
    assert again is not None
    assert again >= first


def test_every_use_is_in_the_access_log_by_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = service_token("billing-2")
    with caplog.at_level(logging.INFO, logger="payflow.http.access_log"):
        bearer(token).get(path_of("1"))
        bearer(token).post("/api/service/users/1/token")
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if line.endswith(" by billing-2")]) == 2
    assert token not in caplog.text


@pytest.mark.usefixtures("in_one_minute")
def test_requests_of_a_token_are_limited(backend: APIClient, settings: Settings) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = 2
    statuses = [backend.get(path_of("1")).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]
    assert backend.get(path_of("1")).headers["RateLimit-Policy"] == '"service";q=2;w=60'


def test_a_put_makes_a_user_once(backend: APIClient) -> None:
    made = put(backend, "customer-1", email="Ada@Example.com").json()
    user = User.objects.get(external_id="customer-1")
    assert made == {
        "id": user.pk,
        "externalId": "customer-1",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "active": True,
        "createdAt": user.date_joined.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    assert put(backend, "customer-1").json() == made
    assert backend.get(path_of("customer-1")).json() == made
    changed = put(backend, "customer-1", email="new@example.com", name="").json()
    assert changed == {**made, "email": "new@example.com", "name": ""}
    assert not user.has_usable_password()


@pytest.mark.parametrize(
    "external_id",
    [
        *["1", "a/b", "a/token", "token", "/", "//", "a//token", "ünï/cödé 🎉", "%2F", "a b", "?#"],
        *["a" * 255, "é" * 255, "auth0|5f7c8ec7c33c6c004bbafe82", "ada@example.com", "тест"],
    ],
)
def test_any_text_is_an_external_id(backend: APIClient, external_id: str) -> None:
    assert put(backend, external_id).json()["externalId"] == external_id
    assert User.objects.filter(external_id=external_id).count() == 1
    assert backend.get(path_of(external_id)).json()["externalId"] == external_id
    token = backend.post(f"{path_of(external_id)}/token").json()["access"]
    assert bearer(token).get("/api/conversations").status_code == 200
    assert backend.delete(path_of(external_id)).json() == {"success": True}
    assert backend.get(path_of(external_id)).status_code == 404


@pytest.mark.parametrize("external_id", ["a" * 256, "a\nb", "nul\0", "\x7f", "c1\x85"])
def test_a_text_that_is_none_does_not_exist(backend: APIClient, external_id: str) -> None:
    assert put(backend, external_id).status_code == 404
    assert backend.get(path_of(external_id)).status_code == 404
    assert backend.post(f"{path_of(external_id)}/token").status_code == 404
    assert not User.objects.exists()


def test_ids_that_differ_in_anything_are_different_users(backend: APIClient) -> None:
    ids = ["a", "A", " a", "é", "e\u0301", "0", "00"]
    for number, external_id in enumerate(ids):
        assert put(backend, external_id, email=f"{number}@example.com").status_code == 200
    assert User.objects.count() == len(ids)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/email"),
        ({"email": ""}, "/email"),
        ({"email": "no address"}, "/email"),
        ({"email": "a@b@c"}, "/email"),
        ({"email": " a@example.com"}, "/email"),
        ({"email": "a@" + "\u0958" * 150}, "/email"),
        ({"email": 1}, "/email"),
        ({"email": "a@example.com", "name": "n" * 201}, "/name"),
        ({"email": "a@example.com", "name": "nul\0"}, "/name"),
        ({"email": "a@example.com", "name": "sk_" + "0" * 64}, "/name"),
    ],
)
def test_a_bad_body_is_refused(backend: APIClient, body: Any, pointer: str) -> None:
    response = backend.put(path_of("1"), body, format="json")
    assert response.status_code == 400
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]
    assert not User.objects.exists()


def test_another_users_address_is_refused(backend: APIClient, stranger: User) -> None:
    put(backend, "1")
    for external_id in ("1", "2"):
        response = put(backend, external_id, email=stranger.email.upper())
        assert response.status_code == 409
        assert response.json()["code"] == "email_taken"
    assert User.objects.get(external_id="1").email == USER["email"]
    assert not User.objects.filter(external_id="2").exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_concurrent_puts_make_one_user() -> None:
    backend = service_token()
    answers = concurrently(*[lambda: put(bearer(backend), "1", name="Ada") for _ in range(6)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert User.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_concurrent_puts_with_one_address_one_wins() -> None:
    backend = service_token()
    calls = [lambda number=number: put(bearer(backend), str(number)) for number in range(4)]
    answers = concurrently(*calls)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert User.objects.count() == 1


def test_staff_accounts_cant_be_reached_by_an_external_id(backend: APIClient) -> None:
    put(backend, "1")
    user = User.objects.get()
    user.is_staff = True
    with pytest.raises(ValidationError, match="can't be of the staff"):
        user.validate_constraints()


def test_an_erased_user_is_gone_and_the_id_is_free(
    backend: APIClient, api_of: Callable[[User], APIClient]
) -> None:
    first = put(backend, "1").json()
    user = User.objects.get()
    conversation = Conversation.objects.create(user=user, title="about Ada")
    key, secret = revealed_key(user)
    jwt = issue_access(user)
    assert backend.delete(path_of("1")).status_code == 200
    assert backend.delete(path_of("1")).status_code == 404
    for token in (secret, jwt):
        assert bearer(token).get("/api/conversations").status_code == 401
    user.refresh_from_db()
    conversation.refresh_from_db()
    assert (user.external_id, user.name, user.is_active) == (None, "", False)
    assert "Ada" not in conversation.title
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    second = put(backend, "1").json()
    assert second["id"] != first["id"]


def test_the_token_of_a_user_is_short_and_acts_as_the_user(backend: APIClient) -> None:
    put(backend, "1")
    answer = backend.post(f"{path_of('1')}/token")
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.json()["tokenType"], answer.json()["expiresIn"]) == ("Bearer", 900)
    customer = bearer(answer.json()["access"])
    made = customer.post("/api/conversations", {"title": "Plan"}, format="json").json()
    assert Conversation.objects.get(pk=made["id"]).user.external_id == "1"


def test_there_is_no_token_for_an_account_that_was_closed(backend: APIClient) -> None:
    put(backend, "1")
    User.objects.update(is_active=False)
    assert backend.post(f"{path_of('1')}/token").status_code == 404
    assert put(backend, "1", name="Again").json()["active"] is False
