"""JSON Web Tokens: the ones we hand out, the ones others mint, the ones we refuse."""

from __future__ import annotations

import base64
import json
import time
from io import StringIO
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import RefreshToken, User
from testing.clients import bearer
from testing.concurrency import concurrently
from testing.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

URL = "/api/conversations"


def minted(claims: dict[str, Any], *, secret: str | None = None, algorithm: str = "HS256") -> str:
    """A token as another backend that shares the secret would mint it."""
    return jwt.encode(claims, secret or settings.JWT_SECRET, algorithm=algorithm)


def soon() -> int:
    return int(time.time()) + 60


def test_a_token_minted_elsewhere_with_sub_and_exp_is_enough(stranger: User) -> None:
    token = minted({"sub": str(stranger.pk), "exp": soon()})
    assert bearer(token).get(URL).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [{"aud": "elsewhere"}, {"iss": "another backend"}, {"iat": soon()}, {"jti": 7}, {"role": "x"}],
)
def test_further_claims_are_their_minters_own_business(
    stranger: User, claims: dict[str, Any]
) -> None:
    token = minted({"sub": str(stranger.pk), "exp": soon(), **claims})
    assert bearer(token).get(URL).status_code == 200


def test_a_clock_that_is_half_a_minute_ahead_is_tolerated(stranger: User) -> None:
    token = minted({"sub": str(stranger.pk), "exp": soon(), "nbf": int(time.time()) + 25})
    assert bearer(token).get(URL).status_code == 200


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def bad_tokens(user: User) -> dict[str, str]:
    good = {"sub": str(user.pk), "exp": soon()}
    return {
        "expired": minted({**good, "exp": int(time.time()) - 1}),
        "without exp": minted({"sub": str(user.pk)}),
        "without sub": minted({"exp": soon()}),
        "sub is a number": minted({"sub": user.pk, "exp": soon()}),
        "sub is no user": minted({**good, "sub": "999999999"}),
        "sub is huge": minted({**good, "sub": "9" * 40}),
        "sub is empty": minted({**good, "sub": ""}),
        "sub is words": minted({**good, "sub": "admin"}),
        "sub has another script": minted({**good, "sub": "\uff11"}),
        "not before": minted({**good, "nbf": soon()}),
        "not before is text": minted({**good, "nbf": "soon"}),
        "exp in milliseconds": minted({**good, "exp": int(time.time() * 1000)}),
        "exp is text": minted({**good, "exp": "soon"}),
        "another secret": minted(good, secret="another secret of at least 32 bytes"),
        "another algorithm": minted(good, algorithm="HS384"),
        "unsigned": unsigned(good),
        "a refresh token": tokens.issue_refresh(user),
        "three dots": "a.b.c",
        "dots only": "..",
        "words": "open sesame",
        "not ascii": "\xff\xfe",
        "long": "a" * 100_000,
        "two tokens": f"{minted(good)} {minted(good)}",
    }


def test_every_bad_token_is_a_401_problem(stranger: User) -> None:
    for name, token in bad_tokens(stranger).items():
        response = bearer(token).get(URL)
        assert response.status_code == 401, name
        assert response.headers["WWW-Authenticate"] == "Bearer", name
        assert response.headers["Content-Type"] == "application/problem+json", name


def test_an_inactive_users_token_is_refused(stranger: User) -> None:
    token = tokens.issue_access(stranger)
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    assert bearer(token).get(URL).status_code == 401


def test_email_in_any_case_and_password_give_a_working_pair() -> None:
    user = UserFactory.create(email="ada@example.com", password=PASSWORD)
    body = {"email": "Ada@EXAMPLE.com", "password": PASSWORD}
    response = APIClient().post("/api/auth/token", body, format="json")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    pair = response.json()
    assert (pair["tokenType"], pair["expiresIn"]) == ("Bearer", 3600)
    assert tokens.user_of_access(pair["access"]) == user
    assert bearer(pair["access"]).get(URL).status_code == 200
    again = APIClient().post("/api/auth/token/refresh", {"refresh": pair["refresh"]}, format="json")
    assert again.status_code == 200
    assert bearer(again.json()["access"]).get(URL).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "ada@example.com", "password": "wrong"}, 401),
        ({"email": "nobody@example.com", "password": PASSWORD}, 401),
        ({"email": "ada@example.com"}, 400),
        ({}, 400),
        ([], 400),
        ({"email": "ada@example.com", "password": ""}, 400),
        ({"email": {"a": 1}, "password": [1]}, 400),
    ],
)
def test_bad_credentials_are_problems(body: Any, status: int) -> None:
    UserFactory.create(email="ada@example.com", password=PASSWORD)
    response = APIClient().post("/api/auth/token", body, format="json")
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    if status == 401:
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_refresh_token_ends_when_the_password_changes() -> None:
    user = UserFactory.create(password=PASSWORD)
    refresh = tokens.issue_refresh(user)
    user.set_password("another password")
    user.save()
    response = APIClient().post("/api/auth/token/refresh", {"refresh": refresh}, format="json")
    assert response.status_code == 401


def test_an_access_token_refreshes_nothing(stranger: User) -> None:
    body = {"refresh": tokens.issue_access(stranger)}
    assert APIClient().post("/api/auth/token/refresh", body, format="json").status_code == 401


def test_a_user_made_by_sql_cannot_sign_in_without_a_password() -> None:
    User.objects.create(email="raw@example.com")
    body = {"email": "raw@example.com", "password": "!"}
    assert APIClient().post("/api/auth/token", body, format="json").status_code == 401


def test_issue_token_prints_a_working_token_and_nothing_else(stranger: User) -> None:
    out = StringIO()
    call_command("issue_token", stranger.email.upper(), stdout=out)
    assert bearer(out.getvalue().strip()).get(URL).status_code == 200
    assert out.getvalue().count("\n") == 1


def test_issue_token_says_who_is_missing_or_inactive(stranger: User) -> None:
    with pytest.raises(CommandError, match=r"no user nobody@example\.com"):
        call_command("issue_token", "nobody@example.com")
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    with pytest.raises(CommandError, match="not active"):
        call_command("issue_token", stranger.email)


def refresh(token: str) -> Any:
    return APIClient().post("/api/auth/token/refresh", {"refresh": token}, format="json")


def test_a_refresh_token_is_used_once_and_its_successor_works(stranger: User) -> None:
    first = tokens.issue_refresh(stranger)
    second = refresh(first).json()["refresh"]
    third = refresh(second).json()["refresh"]
    assert len({first, second, third}) == 3
    assert bearer(refresh(third).json()["access"]).get(URL).status_code == 200


def test_a_reused_refresh_token_ends_its_sign_in_and_no_other(stranger: User) -> None:
    stolen, other = tokens.issue_refresh(stranger), tokens.issue_refresh(stranger)
    newest = refresh(stolen).json()["refresh"]
    again = refresh(stolen)
    assert again.status_code == 401
    assert "used before" in again.json()["detail"]
    assert refresh(newest).status_code == 401
    assert refresh(other).status_code == 200


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_uses_at_the_same_moment_are_one_use(stranger: User) -> None:
    token = tokens.issue_refresh(stranger)
    statuses = concurrently(*[lambda: refresh(token).status_code] * 4)
    assert sorted(statuses) == [200, 401, 401, 401]


@pytest.mark.parametrize("claims", [{}, {"sid": "x", "jti": "y"}, {"sid": None, "jti": [1]}])
def test_a_refresh_token_of_another_issuer_is_refused(
    stranger: User, claims: dict[str, Any]
) -> None:
    own = {"use": "refresh", tokens._PASSWORD: tokens._password_fingerprints(stranger)[0]}
    good = {"sub": str(stranger.pk), "exp": int(time.time()) + 600}
    assert refresh(minted({**good, **own, **claims})).status_code == 401


def test_expired_refresh_tokens_are_deleted_at_the_next_sign_in(stranger: User) -> None:
    tokens.issue_refresh(stranger)
    RefreshToken.objects.update(expires_at=timezone.now())
    tokens.issue_refresh(stranger)
    assert RefreshToken.objects.count() == 1


def test_an_access_token_ends_when_the_password_changes() -> None:
    user = UserFactory.create(password=PASSWORD)
    token = tokens.issue_access(user)
    assert bearer(token).get(URL).status_code == 200
    user.set_password("another password")
    user.save()
    response = bearer(token).get(URL)
    assert response.status_code == 401
    assert response.json()["code"] == "authentication_failed"
    assert bearer(tokens.issue_access(user)).get(URL).status_code == 200


def test_tokens_outlive_a_rotation_of_the_secret_key(stranger: User, settings: Settings) -> None:
    access, token = tokens.issue_access(stranger), tokens.issue_refresh(stranger)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-of-the-tests"
    assert bearer(access).get(URL).status_code == 200
    assert refresh(token).status_code == 200
