"""`/api/api-keys/verify`: the responses to a gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.tokens import issue_access
from apikeys import services
from conversations.models import Conversation
from testing.keys import paid_key, revealed_key

pytestmark = pytest.mark.django_db

URL = "/api/api-keys/verify"


def verify(secret: str, path: str = URL, method: str = "get") -> Any:
    call = getattr(Client(enforce_csrf_checks=True), method)
    return call(path, headers={"Authorization": f"Bearer {secret}"})


def test_a_live_key_is_204_with_who_it_is(conversation: Conversation) -> None:
    issued = paid_key(conversation)
    key, secret = services.reveal(user_id=conversation.user_id, key_id=issued.pk)
    response = verify(secret)
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["X-User-Id"] == str(conversation.user_id)
    assert response.headers["X-Key-Id"] == str(key.pk)
    assert response.headers["X-Key-Name"] == "Auto-generated from payment"
    assert response.headers["X-Tier"] == "premium"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("name", ["Bürö €5", "a\r\nX-Tier: pro", "100%", '"quoted"\\', "\x00x"[1:]])
def test_any_name_is_percent_encoded_in_its_header(stranger: User, name: str) -> None:
    _, secret = revealed_key(stranger, name=name)
    header = verify(secret).headers["X-Key-Name"]
    assert header.isascii()
    assert unquote(header) == name


@pytest.mark.parametrize(
    "facts",
    [
        {"revoked_at": timezone.now()},
        {"suspended_at": timezone.now()},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
    ],
    ids=["revoked", "suspended", "expired"],
)
def test_an_inactive_key_is_401_without_headers(stranger: User, facts: dict[str, Any]) -> None:
    _, secret = revealed_key(stranger, **facts)
    response = verify(secret)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "X-User-Id" not in response.headers


def test_no_key_is_401(stranger: User) -> None:
    assert Client().get(URL).status_code == 401
    _, secret = revealed_key(stranger)
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    assert verify(secret).status_code == 401


def test_a_jwt_or_a_session_is_not_accepted(stranger: User) -> None:
    assert verify(issue_access(stranger)).status_code == 401
    client = Client()
    client.force_login(stranger)
    assert client.get(URL).status_code == 401


@pytest.mark.parametrize("below", ["/orders/verify", "/verify", "/", "//verify", "/a%0Ab", "/%0a"])
def test_any_path_below_is_200(stranger: User, below: str) -> None:
    _, secret = revealed_key(stranger)
    assert verify(secret, URL + below).status_code == 200


def test_a_line_feed_is_not_the_end_of_the_route(stranger: User) -> None:
    _, secret = revealed_key(stranger)
    assert verify(secret, URL + "%0a").status_code == 404


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize(
    ("path", "passed"),
    [(URL, 204), (f"{URL}?x=1", 204), (f"{URL}/orders/5?x=1", 200), (f"{URL}/", 200)],
)
def test_every_method_and_path_below_is_answered(
    stranger: User, method: str, path: str, passed: int
) -> None:
    _, secret = revealed_key(stranger)
    assert verify(secret, path, method).status_code == passed
    assert verify(secret[:-1] + "x", path, method).status_code == 401


@pytest.mark.parametrize("path", [URL, f"{URL}/orders/5"])
@pytest.mark.parametrize(
    "told", [{"CONTENT_LENGTH": str(2**21)}, {"HTTP_TRANSFER_ENCODING": "chunked"}]
)
def test_the_size_of_a_body_that_the_gateway_kept_does_not_matter(
    stranger: User, path: str, told: dict[str, Any]
) -> None:
    _, secret = revealed_key(stranger)

    def post(token: str) -> int:
        header: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        return Client().generic("POST", path, **told, **header).status_code

    assert post(secret) in (200, 204)
    assert post("sk_" + "0" * 64) == 401
    assert Client().generic("POST", f"{URL}s", **told).status_code in (411, 413)


def test_it_costs_one_query(
    stranger: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, secret = revealed_key(stranger, last_used_at=timezone.now())
    with django_assert_num_queries(1):
        assert verify(secret).status_code == 204
