"""Every place that must recognise a secret recognises every kind of it."""

from __future__ import annotations

import logging
import time
import timeit
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import tokens
from apikeys.models import ApiKey
from apikeys.secret_patterns import REDACTED, contains_secret, redact, redact_json
from billing.models import Order, StripeEvent
from conversations.models import Conversation
from support.actions.grants import StopGrant
from testing.secrets import JWT_LOOKS, LOOKS, STRIPE_LOOKS

HARMLESS = [
    "",
    "sk_0123456789abcdef0",  # a stored prefix
    "sk_live_ and sk_org_test_",
    "cs_test_a1b2c3",
    "price_sandbox_premium",
    "evt_1 pi_2",
    "task_0123456789",
    "/api/api-keys/verify",
    "my_secret_production key",
    "HeyJude's key, heyJulian.smith@example.com",
]
looks = pytest.mark.parametrize("secret", LOOKS.values(), ids=LOOKS.keys())


def tail(secret: str) -> str:
    return secret[-8:]


@looks
@pytest.mark.parametrize(
    "around",
    [
        *["{}", "Bearer {}", "key='{}',", '{{"k": "{}"}}', "a/{}?b"],
        *[f"before {before}{{}} after" for before in (r"\n", r"\x00", "%20", "%3D", "x_", "key")],
        *["before \\u2028{} after", "before sk_{} after"],
    ],
)
def test_a_secret_is_cut_down_to_its_kind_wherever_it_stands(secret: str, around: str) -> None:
    text = around.format(secret)
    assert contains_secret(text)
    assert tail(secret) not in redact(text)
    assert REDACTED in redact(text)
    assert redact(redact(text)) == redact(text)
    if "after" in around:
        assert redact(text).startswith("before ")
        assert redact(text).endswith(" after")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
    assert not contains_secret(text)


def test_the_prefix_of_a_key_stays_readable() -> None:
    prefix = tokens.prefix(tokens.generate())
    assert redact(f"key {prefix}… was deleted") == f"key {prefix}… was deleted"


@pytest.mark.parametrize("function", [redact, contains_secret, redact_json])
@pytest.mark.parametrize(
    "piece",
    [
        *["eyJaaaa-", "eyJaaaa", "eyJaaaa.", "a", "sk_", "sk_live_", "_secret_", "eyJ", "a-."],
        *["sk_org_", "_secret_a", "_secret_aaaaaaaaa", "eyJ.", "sk_0123456789abcdef"],
    ],
)
def test_the_patterns_take_linear_time(function: Callable[[str], Any], piece: str) -> None:
    def cost(length: int, times: int) -> float:
        text = piece * (length // len(piece))
        work = timeit.repeat(lambda: function(text), time.process_time, repeat=5, number=times)
        return min(work)

    # The same amount of text in one piece and in ten. Quadratic time would be 10 times as long.
    assert cost(200_000, 1) < 4 * max(cost(20_000, 10), 0.002)


@looks
def test_a_json_value_and_the_keys_of_its_objects_are_redacted(secret: str) -> None:
    shown = redact_json({"a": [secret, {"b": f"use {secret} now"}], secret: 1, "c": [1, None]})
    assert tail(secret) not in str(shown)
    assert str(shown).count(REDACTED) >= 3
    assert shown["c"] == [1, None]


@pytest.mark.parametrize(
    "payload",
    [
        {"client_secret": "pi_1_secret_2"},
        {"deep": [{"secret": "x"}]},
        {"secrets": ["x"]},
        {"card": {"number": "4242424242424242", "cvc": "123"}},
        {"text": "eyJhbGciOi.eyJzdWIi.c2lnbmF0"},
    ],
)
def test_a_json_value_is_redacted_by_the_name_of_its_member(payload: dict[str, object]) -> None:
    shown = str(redact_json(payload))
    assert REDACTED in shown
    for secret in ("secret_2", "4242", "sdWIi", "'x'"):
        assert secret not in shown


def test_everything_else_of_a_json_value_stays_as_it_is() -> None:
    payload = {"id": "evt_1", "amount": 5, "metadata": {"user_id": "1"}, "url": None, "n": [1, 2]}
    assert redact_json(payload) == payload


@looks
@pytest.mark.django_db
def test_staff_pages_show_no_secret(support: Client, order: Order, secret: str) -> None:
    event = StripeEvent.objects.get()
    event.payload["data"][secret] = [secret]
    event.last_error = event.outcome = f"cannot use {secret}"
    event.save()
    page = support.get(f"/admin/billing/stripeevent/{event.pk}/").content.decode()
    assert page.count(REDACTED) >= 4
    assert tail(secret) not in page


@looks
@pytest.mark.django_db
def test_a_reason_with_a_secret_is_refused(support: Client, order: Order, secret: str) -> None:
    url = reverse("admin:apikeys_grant_action", args=[order.grant_id, StopGrant.kind])
    token = support.get(url).context["form"]["token"].value()
    response = support.post(url, {"token": token, "reason": f"sent {secret}"})
    assert response.status_code == 200
    assert "This contains a key or another secret" in response.content.decode()
    assert tail(secret) not in response.content.decode()


@looks
@pytest.mark.django_db
def test_a_secret_is_no_name_for_a_key(
    order: Order, api_of: Callable[[User], APIClient], secret: str
) -> None:
    response = api_of(order.user).post("/api/api-keys", {"name": f"my {secret}"}, format="json")
    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]] == ["secret"]
    assert ApiKey.objects.count() == 1


@looks
@pytest.mark.django_db
def test_a_secret_is_no_title_for_a_conversation(
    stranger: User, api_of: Callable[[User], APIClient], secret: str
) -> None:
    title = {"title": f"my {secret}"}
    response = api_of(stranger).post("/api/conversations", title, format="json")
    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]] == ["secret"]
    page = Client()
    page.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    answer = page.post("/", title).content.decode()
    assert "This looks like a key or a token" in answer
    assert tail(secret) not in response.content.decode() + answer
    assert not Conversation.objects.exists()
    page.post("/", {"title": "Harmless: the task_0123456789"})
    assert Conversation.objects.count() == 1


@looks
@pytest.mark.parametrize("header", ["Bearer {}", "Bearer  '{}'", "{}"])
@pytest.mark.parametrize("path", ["/api/conversations", "/api/api-keys/verify"])
@pytest.mark.django_db
def test_a_secret_in_a_header_is_refused_and_kept_nowhere(
    secret: str, header: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = Client().get(path, HTTP_AUTHORIZATION=header.format(secret))
    assert response.status_code == 401
    assert (response.json()["code"] == "stripe_key") is (secret in STRIPE_LOOKS.values())
    kept = response.content.decode() + caplog.text + str(connection.queries_log)
    assert tail(secret) not in kept


@looks
@pytest.mark.django_db
def test_a_secret_in_the_search_is_named_and_not_repeated(
    support: Client, order: Order, secret: str
) -> None:
    page = support.post("/admin/search/", {"q": f"is it {secret}?"}).content.decode()
    assert tail(secret) not in page
    if secret in JWT_LOOKS.values():
        assert "This is a token (JWT)" in page
    elif "_secret_" in secret:
        assert f"Nothing was found for {secret[: secret.index('_secret_')]}" in page
    elif secret in STRIPE_LOOKS.values():
        assert "secret of Stripe" in page
    else:
        assert "Nothing was found for" in page
