"""Whose id a token names (JWT_SUBJECT), and what it is for (JWT_AUDIENCE)."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from testing.clients import backend_client, bearer
from testing.factories import PASSWORD, UserFactory
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

URL = "/api/conversations"


@pytest.fixture
def by_external_id(settings: Settings) -> None:
    settings.JWT_SUBJECT = "external_id"


def minted(subject: Any, **claims: Any) -> APIClient:
    """A client with a token as another backend signs it."""
    claims = {"sub": subject, "exp": int(time.time()) + 60, **claims}
    return bearer(jwt.encode(claims, configured.JWT_SECRET, algorithm="HS256"))


@pytest.mark.usefixtures("by_external_id")
def test_a_subject_is_the_other_backends_id() -> None:
    user = UserFactory.create(external_id="customer/ünï")
    assert minted("customer/ünï").get(URL).status_code == 200
    assert minted(str(user.pk)).get(URL).status_code == 401


@pytest.mark.usefixtures("by_external_id")
@pytest.mark.parametrize(
    "subject", ["", "1\x00", "a\nb", "a" * 256, "\ud800", "None", "nobody's", 7, None, []]
)
def test_a_subject_that_nobody_has_is_refused(subject: Any) -> None:
    UserFactory.create()
    assert minted(subject).get(URL).status_code == 401


@pytest.mark.usefixtures("by_external_id")
def test_no_token_and_no_key_reaches_a_staff_account() -> None:
    staff = UserFactory.create(is_staff=True, is_superuser=True)
    assert minted(str(staff.pk)).get(URL).status_code == 401
    for columns in ({"is_staff": True}, {"is_superuser": True}):
        _, secret = revealed_key(UserFactory.create(**columns))
        assert bearer(secret).get(URL).status_code == 401
        assert bearer(secret).get("/api/api-keys/verify").status_code == 401
    _, secret = revealed_key(UserFactory.create())
    assert bearer(secret).get(URL).status_code == 200


@pytest.mark.usefixtures("by_external_id")
def test_a_closed_account_is_refused() -> None:
    UserFactory.create(external_id="closed", is_active=False)
    assert minted("closed").get(URL).status_code == 401


@pytest.mark.usefixtures("by_external_id")
def test_tokens_of_this_server_name_the_external_id_too() -> None:
    backend = backend_client()
    path = "/api/service/users/7"
    backend.put(path, {"email": "seven@example.com"}, format="json")
    token = backend.post(f"{path}/token").json()["access"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == "7"
    assert bearer(token).get(URL).status_code == 200


@pytest.mark.usefixtures("by_external_id")
def test_an_account_without_an_external_id_gets_no_token() -> None:
    user = UserFactory.create(password=PASSWORD)
    body = {"email": user.email, "password": PASSWORD}
    response = APIClient().post("/api/auth/token", body, format="json")
    assert response.status_code == 401
    assert "no external id" in response.json()["detail"]
    with pytest.raises(CommandError, match="no external id"):
        call_command("issue_token", user.email)
    User.objects.update(external_id="now it has one")
    pair = APIClient().post("/api/auth/token", body, format="json").json()
    assert bearer(pair["access"]).get(URL).status_code == 200
    again = APIClient().post("/api/auth/token/refresh", {"refresh": pair["refresh"]}, format="json")
    assert bearer(again.json()["access"]).get(URL).status_code == 200


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 401),
        ({"aud": "password-reset"}, 401),
        ({"aud": ""}, 401),
        ({"aud": None}, 401),
        ({"aud": 7}, 401),
        ({"aud": ["password-reset"]}, 401),
        ({"aud": "payflow"}, 200),
        ({"aud": ["other", "payflow"]}, 200),
    ],
)
def test_where_an_audience_is_set_a_token_must_have_it(
    stranger: User, settings: Settings, claims: dict[str, Any], status: int
) -> None:
    settings.JWT_AUDIENCE = "payflow"
    assert minted(str(stranger.pk), **claims).get(URL).status_code == status


def test_tokens_of_this_server_have_the_audience(settings: Settings) -> None:
    settings.JWT_AUDIENCE = "payflow"
    user = UserFactory.create(password=PASSWORD)
    body = {"email": user.email, "password": PASSWORD}
    pair = APIClient().post("/api/auth/token", body, format="json").json()
    assert jwt.decode(pair["access"], options={"verify_signature": False})["aud"] == "payflow"
    assert bearer(pair["access"]).get(URL).status_code == 200
    again = APIClient().post("/api/auth/token/refresh", {"refresh": pair["refresh"]}, format="json")
    assert again.status_code == 200
