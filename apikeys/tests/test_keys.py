"""Listing, revealing and deleting keys over the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import tokens
from apikeys.api import key_answer
from apikeys.models import ApiKey, Grant, KeyState
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

ApiOf = Callable[[User], APIClient]


@pytest.fixture
def owner(conversation: Conversation) -> User:
    """A customer whose payment has just been completed."""
    stripe.deliver(stripe.completed(conversation))
    return conversation.user


def test_the_list_is_forbidden_before_the_first_payment(stranger: User, api_of: ApiOf) -> None:
    response = api_of(stranger).get("/api/api-keys")
    assert response.status_code == 403
    assert response.json()["code"] == "payment_required"


def test_a_pending_payment_opens_no_list(conversation: Conversation, api_of: ApiOf) -> None:
    stripe.deliver(stripe.completed(conversation, payment_status="unpaid"))
    assert api_of(conversation.user).get("/api/api-keys").status_code == 403


def test_the_list_shows_what_is_known_of_a_key_and_no_secret(owner: User, api_of: ApiOf) -> None:
    response = api_of(owner).get("/api/api-keys")
    assert response.status_code == 200
    (listed,) = response.json()["keys"]
    key = ApiKey.objects.get()
    assert listed["id"] == key.pk
    assert listed["prefix"] == key.key_prefix
    assert listed["name"] == "Auto-generated from payment"
    assert listed["createdAt"].endswith("Z")
    assert listed["lastUsedAt"] is None
    assert listed["revealed"] is False
    assert key.key_hash not in response.content.decode()


def test_the_list_says_of_each_key_what_its_model_says(owner: User, api_of: ApiOf) -> None:
    """The list is read by SQL: in every state a key can have, that is the model's."""
    now = timezone.now()
    past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    grants = [
        Grant.objects.create(user=owner, tier=tier, suspended_at=a, stopped_at=b, revoked_at=c)
        for tier, a, b, c in product(("", "pro"), (None, past), (None, past), (None, past))
    ]
    states: Any = product(grants, *([(None, past)] * 4), (None, past, future))
    ApiKey.objects.bulk_create(
        ApiKey(
            user=owner,
            grant=grant,
            name=f"key {number}",
            key_hash=f"{number:064x}",
            key_prefix=f"sk_{number:017x}",
            revealed_at=revealed,
            rotated_at=rotated,
            suspended_at=suspended,
            revoked_at=revoked,
            expires_at=expires,
        )
        for number, (grant, revealed, rotated, suspended, revoked, expires) in enumerate(states)
    )
    keys = ApiKey.objects.owned_by(owner.pk).listed(now).order_by("-id")
    expected = [json.loads(JSONRenderer().render(key_answer(key))) for key in keys]
    assert {key["state"] for key in expected} == {*KeyState.values} - {"revoked"}
    client = api_of(owner)
    assert client.get("/api/api-keys").json() == {"keys": expected}
    for key in expected[::40]:
        assert client.get(f"/api/api-keys/{key['id']}").json() == key


def test_a_reveal_returns_a_key_that_works_and_is_stored_as_a_hash(
    owner: User, api_of: ApiOf
) -> None:
    key = ApiKey.objects.get()
    response = api_of(owner).post(f"/api/api-keys/{key.pk}/reveal")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    secret = response.json()["key"]
    assert tokens.is_well_formed(secret)
    key.refresh_from_db()
    assert key.key_hash == tokens.digest(secret)
    assert key.key_prefix == secret[:20]
    assert bearer(secret).get("/api/conversations").status_code == 200


def test_a_second_reveal_is_a_conflict_and_changes_nothing(owner: User, api_of: ApiOf) -> None:
    key = ApiKey.objects.get()
    secret = api_of(owner).post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    response = api_of(owner).post(f"/api/api-keys/{key.pk}/reveal")
    assert response.status_code == 409
    assert response.json()["code"] == "already_revealed"
    assert bearer(secret).get("/api/conversations").status_code == 200


def test_a_get_reveals_nothing(owner: User, api_of: ApiOf) -> None:
    key = ApiKey.objects.get()
    assert api_of(owner).get(f"/api/api-keys/{key.pk}/reveal").status_code == 405
    key.refresh_from_db()
    assert not key.is_revealed


def test_an_api_key_cannot_reveal_another(owner: User, api_of: ApiOf) -> None:
    key = ApiKey.objects.get()
    secret = api_of(owner).post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    other, _ = revealed_key(owner, revealed_at=None)
    response = bearer(secret).post(f"/api/api-keys/{other.pk}/reveal")
    assert response.status_code == 403
    assert response.json()["code"] == "api_key_not_allowed"


def test_a_deleted_key_leaves_the_list_keeps_its_row_and_no_longer_works(
    owner: User, api_of: ApiOf
) -> None:
    key = ApiKey.objects.get()
    secret = api_of(owner).post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    response = api_of(owner).delete(f"/api/api-keys/{key.pk}")
    assert response.status_code == 200
    assert response.json() == {"success": True}
    assert api_of(owner).get("/api/api-keys").json() == {"keys": []}
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert key.revoked_reason == "Deleted by its owner."
    assert bearer(secret).get("/api/conversations").status_code == 401
    assert api_of(owner).delete(f"/api/api-keys/{key.pk}").status_code == 404
    assert api_of(owner).post(f"/api/api-keys/{key.pk}/reveal").status_code == 404


def test_a_key_may_delete_itself(owner: User, api_of: ApiOf) -> None:
    key = ApiKey.objects.get()
    secret = api_of(owner).post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    assert bearer(secret).delete(f"/api/api-keys/{key.pk}").status_code == 200
    assert bearer(secret).get("/api/api-keys").status_code == 401


@pytest.mark.parametrize("method", ["delete", "post"])
def test_anothers_key_is_as_if_it_did_not_exist(
    owner: User, stranger: User, api_of: ApiOf, method: str
) -> None:
    key = ApiKey.objects.get()
    suffix = "/reveal" if method == "post" else ""
    client = api_of(stranger)
    anothers = getattr(client, method)(f"/api/api-keys/{key.pk}{suffix}")
    missing = getattr(client, method)(f"/api/api-keys/{key.pk + 10**6}{suffix}")
    assert anothers.status_code == missing.status_code == 404
    assert anothers.json() == missing.json()
    key.refresh_from_db()
    assert key.revoked_at is None
    assert not key.is_revealed


@pytest.mark.parametrize("key_id", ["0", "9" * 18, "9" * 19, "9" * 40, "abc", "-1", "1.0"])
def test_an_absurd_id_is_not_found(owner: User, api_of: ApiOf, key_id: str) -> None:
    response = api_of(owner).delete(f"/api/api-keys/{key_id}")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", ""), ("delete", "/1"), ("post", "/1/reveal")],
)
def test_without_credentials_it_is_401(method: str, path: str) -> None:
    response = getattr(APIClient(), method)(f"/api/api-keys{path}")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
