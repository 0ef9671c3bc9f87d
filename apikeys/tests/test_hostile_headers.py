"""Any invalid Authorization header is answered with 401, never 500, and never stored."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from apikeys import bearer
from apikeys.models import ApiKey
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

PATHS = ["/api/conversations", "/api/api-keys/verify"]
KEY = "sk_" + "a" * 64
STRIPE_KEYS = ["sk_live_51HcZ", "sk_test_51HcZ", "rk_live_51HcZ", "rk_test_51HcZ", "whsec_51HcZ"]
STRIPE_HEADERS = [
    "Bearer {}",
    "bearer   {}",
    "{}",
    "Bearer\t{}",
    "Bearer \t{}",
    'Bearer "{}"',
    "Bearer '{}'",
    '"{}"',
    "Bearer: {}",
    "Bearer={}",
    "Token {}",
]
MALFORMED = {
    "no scheme": KEY,
    "no scheme, a JWT": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
    "scheme only": "Bearer",
    "scheme and spaces": "Bearer    ",
    "several spaces within": f"Bearer {KEY[:30]}   {KEY[30:]}",
    "a tab for a space": f"Bearer\t{KEY}",
    "a tab before": f"Bearer \t{KEY}",
    "a tab after": f"Bearer {KEY}\t",
    "a line break after": f"Bearer {KEY}\n",
    "a line break for a space": f"Bearer\r\n{KEY}",
    "a header in the header": f"Bearer {KEY}\r\nX-User-Id: 1",
    "a vertical tab": f"Bearer\x0b{KEY}",
    "a null": f"Bearer {KEY}\x00",
    "1 MB of text": "Bearer " + "x" * 2**20,
    "1 MB of key": "Bearer sk_" + "a" * 2**20,
    "1 MB of spaces": "Bearer" + " " * 2**20 + KEY,
    "1 MB of no scheme": "x" * 2**20,
    "not UTF-8": "Bearer sk_\xff\xfe\x80",
    "UTF-8 read as latin-1": "Bearer sk_\xc3\xbc",
    "full-width digits": "Bearer sk_" + "\uff11" * 64,
    "a lone surrogate": "Bearer sk_\udcff",
    "two headers, joined": f"Bearer {KEY},Bearer {KEY}",
    "two headers, joined with a space": f"Bearer {KEY}, Bearer {KEY}",
    "quoted": f'Bearer "{KEY}"',
    "an equals sign": f"Bearer={KEY}",
}
UNKNOWN = {
    "upper case": f"Bearer {KEY.upper()}",
    "upper case digits": f"Bearer sk_{'A' * 64}",
    "upper case scheme of the key": f"Bearer SK_{'a' * 64}",
    "too short": f"Bearer {KEY[:-1]}",
    "too long": f"Bearer {KEY}a",
    "a JWT of three parts of nothing": "Bearer ..",
    "another scheme": f"Basic {KEY}",
    "digest": 'Digest username="Mufasa", realm="x"',
    "basic": "Basic c2tfOg==",
    "basic that is no base64": "Basic \xff\xfe",
    "basic of one character": "Basic a",
    "a word that only ends like Stripe's": "Bearer task_live_1",
    "nothing": "",
    "a space": " ",
}


def get(path: str, header: str) -> Any:
    return Client().get(path, HTTP_AUTHORIZATION=header)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_header_is_401(path: str, header: str) -> None:
    response = get(path, header)
    assert response.status_code == 401
    assert response.json()["code"] == "malformed_authorization"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_header_without_credentials_of_ours_is_401(path: str, header: str) -> None:
    response = get(path, header)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", STRIPE_KEYS)
@pytest.mark.parametrize("header", STRIPE_HEADERS)
def test_a_stripe_key_is_named_and_kept_nowhere(
    path: str, key: str, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = f"{key}JVnPxTqRWmYb"
    with caplog.at_level(logging.DEBUG):
        response = get(path, header.format(secret))
    assert_named_and_kept_nowhere(response, caplog)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", STRIPE_KEYS)
@pytest.mark.parametrize("header", ["Basic {}", "basic  {}"])
def test_a_stripe_key_as_the_user_of_basic_authentication_is_named_too(
    path: str, key: str, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    encoded = base64.b64encode(f"{key}JVnPxTqRWmYb:".encode()).decode()
    for credentials in (encoded, encoded.rstrip("=")):
        with caplog.at_level(logging.DEBUG):
            response = get(path, header.format(credentials))
        assert_named_and_kept_nowhere(response, caplog)
        assert encoded.rstrip("=") not in response.content.decode() + caplog.text


def assert_named_and_kept_nowhere(response: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert response.status_code == 401
    assert response.json()["code"] == "stripe_key"
    assert "Stripe" in response.json()["detail"]
    assert "JVnPxTqRWmYb" not in response.content.decode()
    assert "JVnPxTqRWmYb" not in caplog.text
    assert "JVnPxTqRWmYb" not in str([query["sql"] for query in connection.queries_log])


@pytest.mark.parametrize("path", PATHS)
def test_a_good_key_in_a_malformed_header_does_not_authenticate(path: str, stranger: User) -> None:
    _, secret = revealed_key(stranger)
    for header in (secret, f"Bearer\t{secret}", f"Bearer {secret},{secret}", f"Bearer {secret}\n"):
        assert get(path, header).status_code == 401
    key = ApiKey.objects.get()
    assert key.last_used_at is None


def test_a_malformed_header_is_refused_also_beside_a_session(stranger: User) -> None:
    client = Client()
    client.force_login(stranger)
    assert client.get("/api/conversations").status_code == 200
    response = client.get("/api/conversations", HTTP_AUTHORIZATION=KEY)
    assert response.status_code == 401


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    header=st.text(max_size=100), scheme=st.sampled_from(["", "Bearer ", "bearer sk_", "Basic "])
)
def test_no_header_whatsoever_is_anything_but_401(header: str, scheme: str) -> None:
    assert get("/api/conversations", scheme + header).status_code == 401


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_a_token_is_returned_unchanged_or_not_at_all(header: str) -> None:
    try:
        token = bearer.bearer_token(header)
    except bearer.MalformedAuthorization:
        token = None
    assert token is None or token in header
