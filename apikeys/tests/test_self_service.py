"""Creating, renaming and listing keys, by API and on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import errors, services, tokens
from apikeys.models import ApiKey, Grant
from conversations.models import Conversation
from testing.clients import bearer
from testing.concurrency import concurrently
from testing.keys import paid_key, revealed_key

pytestmark = pytest.mark.django_db

URL = "/api/api-keys"
SECRET = re.compile(r"sk_[0-9a-f]{64}")
ApiOf = Callable[[User], APIClient]


@pytest.fixture
def owner(conversation: Conversation) -> User:
    paid_key(conversation)
    return conversation.user


@pytest.fixture
def api(owner: User, api_of: ApiOf) -> APIClient:
    return api_of(owner)


# Those that Unicode calls Bidi_Control.
BIDI = [chr(n) for n in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]


@pytest.fixture
def browser(owner: User) -> Client:
    """A browser in which the owner is signed in."""
    client = Client(enforce_csrf_checks=False)
    client.force_login(owner)
    return client


def create(api: APIClient, **body: Any) -> Any:
    return api.post(URL, {"name": "laptop", **body}, format="json")


def fill_up(owner: User) -> None:
    """Give the owner the maximum of live keys."""
    missing = errors.MAX_LIVE_KEYS - ApiKey.objects.owned_by(owner.pk).count()
    for _ in range(missing):
        revealed_key(owner)


def test_a_created_key_is_shown_in_the_answer_works_and_is_listed(api: APIClient) -> None:
    response = create(api)
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert tokens.is_well_formed(body["key"])
    assert body["prefix"] == body["key"][:20]
    assert bearer(body["key"]).get("/api/conversations").status_code == 200
    listed = api.get(URL).json()["keys"][0]
    assert listed == {name: value for name, value in body.items() if name != "key"} | {
        "lastUsedAt": listed["lastUsedAt"]
    }
    assert listed["lastUsedAt"] is not None
    assert (listed["name"], listed["state"], listed["revealed"]) == ("laptop", "active", True)
    assert (listed["tier"], listed["expiresAt"]) == ("premium", None)


def test_what_is_stored_of_a_created_key_is_its_hash(api: APIClient) -> None:
    secret = create(api).json()["key"]
    key = ApiKey.objects.get(name="laptop")
    assert key.key_hash == tokens.digest(secret)
    assert secret not in str(ApiKey.objects.values().get(pk=key.pk))


def test_a_key_may_have_an_expiry(api: APIClient) -> None:
    response = create(api, expiresAt="2099-01-02T03:04:05+01:00")
    assert response.json()["expiresAt"] == "2099-01-02T02:04:05Z"
    key = ApiKey.objects.get(name="laptop")
    assert key.expires_at == datetime(2099, 1, 2, 2, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "   "}, "/name"),
        ({"name": None}, "/name"),
        ({"name": ["a"]}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"name": "null\x00"}, "/name"),
        ({"name": "sk_" + "a" * 64}, "/name"),
        ({"name": "my sk_live_abc"}, "/name"),
        ({"name": "pk_live_abc"}, "/name"),
        ({"name": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"}, "/name"),
        ({"name": "token: eyJhbGciOiJub25lIn0.e30."}, "/name"),
        *[({"name": f"laptop {mark}gpj"}, "/name") for mark in BIDI],
        ({"expiresAt": "2001-01-01T00:00:00Z"}, "/expiresAt"),
        ({"expiresAt": "tomorrow"}, "/expiresAt"),
        ({"expiresAt": "9999-12-31T23:59:59-14:00"}, "/expiresAt"),
        ({"expiresAt": 5}, "/expiresAt"),
    ],
)
def test_a_bad_body_is_refused_and_makes_nothing(
    api: APIClient, body: dict[str, Any], pointer: str
) -> None:
    before = ApiKey.objects.count()
    response = create(api, **body)
    assert response.status_code == 400
    assert {error["pointer"] for error in response.json()["errors"]} == {pointer}
    assert ApiKey.objects.count() == before


@pytest.mark.parametrize(
    "name",
    [
        "HeyJude's production key",
        "eyJude",
        "مفتاح المكتب",
        "office \U0001f469\u200d\U0001f4bb",
        "pk_1",
    ],
)
def test_a_name_that_resembles_a_secret_is_accepted(api: APIClient, name: str) -> None:
    assert create(api, name=name).json()["name"] == name


@pytest.mark.parametrize("body", ["[]", "null", "5", "{"])
def test_a_body_that_is_no_object_is_refused(api: APIClient, body: str) -> None:
    assert api.post(URL, body, content_type="application/json").status_code == 400


def test_no_key_is_created_without_a_payment(stranger: User, api_of: ApiOf) -> None:
    response = create(api_of(stranger))
    assert response.status_code == 403
    assert response.json()["code"] == "payment_required"
    assert not ApiKey.objects.exists()


def test_the_twenty_first_key_is_a_conflict_until_another_is_deleted(
    owner: User, api: APIClient
) -> None:
    fill_up(owner)
    response = create(api)
    assert response.status_code == 409
    assert response.json()["code"] == "too_many_keys"
    ApiKey.objects.filter(pk=ApiKey.objects.order_by("-pk")[0].pk).update(expires_at=timezone.now())
    assert create(api).status_code == 201
    assert create(api).status_code == 409


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_concurrent_creates_at_nineteen_keys_one_is_refused(
    owner: User, api_of: ApiOf, deadlocks: Callable[[], list[str]]
) -> None:
    fill_up(owner)
    services.revoke(ApiKey.objects.order_by("-pk")[0].pk, reason="x")
    clients = [api_of(owner) for _ in range(4)]
    answers = concurrently(*[lambda c=client: create(c).status_code for client in clients])
    assert sorted(answers) == [201, 409, 409, 409]
    assert ApiKey.objects.live(timezone.now()).count() == errors.MAX_LIVE_KEYS
    assert deadlocks() == []


@pytest.mark.parametrize(
    ("path", "body"), [("", {"name": "x"}), ("/{id}/rotate", {}), ("/{id}/reveal", {})]
)
def test_a_key_cannot_create_reveal_or_rotate_keys(
    owner: User, path: str, body: dict[str, str]
) -> None:
    _, secret = revealed_key(owner)
    other = ApiKey.objects.filter(revealed_at=None).get()
    response = bearer(secret).post(f"{URL}{path.format(id=other.pk)}", body, format="json")
    assert response.status_code == 403
    assert response.json()["code"] == "api_key_not_allowed"
    assert "JWT" in response.json()["detail"]
    assert ApiKey.objects.count() == 2


def test_a_signed_in_browser_may_call_the_api_but_not_without_csrf(owner: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(owner)
    assert create(client).status_code == 403
    page = client.get("/keys")
    client.credentials(HTTP_X_CSRFTOKEN=page.cookies["csrftoken"].value)
    assert create(client).status_code == 201


def test_a_key_is_renamed(owner: User, api: APIClient) -> None:
    key = ApiKey.objects.get()
    response = api.patch(f"{URL}/{key.pk}", {"name": " Büro "}, format="json")
    assert response.status_code == 200
    assert response.json()["name"] == "Büro"
    key.refresh_from_db()
    assert key.name == "Büro"


def test_a_rename_is_checked_like_a_first_name(owner: User, api: APIClient) -> None:
    key = ApiKey.objects.get()
    for name in ("", "two\nlines", "x" * 201):
        assert api.patch(f"{URL}/{key.pk}", {"name": name}, format="json").status_code == 400
    assert api.put(f"{URL}/{key.pk}", {"name": "x"}, format="json").status_code == 405


@pytest.mark.parametrize(("method", "path"), [("patch", ""), ("post", "/rotate")])
def test_anothers_key_is_as_if_it_did_not_exist(
    owner: User, stranger: User, api_of: ApiOf, method: str, path: str
) -> None:
    key = ApiKey.objects.get()
    call = getattr(api_of(stranger), method)
    anothers = call(f"{URL}/{key.pk}{path}", {"name": "mine"}, format="json")
    missing = call(f"{URL}/{key.pk + 10**6}{path}", {"name": "mine"}, format="json")
    assert anothers.status_code == missing.status_code == 404
    assert anothers.json() == missing.json()
    assert ApiKey.objects.get().name == "Auto-generated from payment"


def test_the_list_shows_the_state_of_every_key(owner: User, api: APIClient) -> None:
    past = timezone.now() - timedelta(days=1)
    revealed_key(owner, name="over", expires_at=past)
    revealed_key(owner, name="disputed", suspended_at=past)
    tomorrow = timezone.now() + timedelta(days=1)
    revealed_key(owner, name="handed over", rotated_at=past, expires_at=tomorrow)
    revealed_key(owner, name="history", rotated_at=past, expires_at=past)
    revealed_key(owner, name="gone", revoked_at=past)
    states = {key["name"]: key["state"] for key in api.get(URL).json()["keys"]}
    assert states == {
        "Auto-generated from payment": "active",
        "over": "expired",
        "disputed": "suspended",
        "handed over": "rotated",
    }


def test_the_page_creates_a_key_and_shows_it_once(browser: Client) -> None:
    page = browser.post("/keys/create", {"name": "laptop", "expires_on": "2099-01-01"})
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    secret = SECRET.search(page.content.decode())
    assert secret is not None
    assert bearer(secret[0]).get("/api/conversations").status_code == 200
    listed = browser.get("/keys").content.decode()
    assert "laptop" in listed
    assert "2 Jan 2099, 00:00 UTC" in listed
    assert not SECRET.search(listed)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "x", "expires_on": "2001-01-01"}, "This is in the past."),
        ({"name": "two\nlines"}, "A name is one line of text."),
    ],
)
def test_the_page_says_what_is_wrong(browser: Client, form: dict[str, str], complaint: str) -> None:
    page = browser.post("/keys/create", form)
    assert page.status_code == 400
    assert complaint in page.content.decode()
    assert ApiKey.objects.count() == 1


def test_the_page_refuses_customers_without_a_payment_or_with_too_many_keys(
    owner: User, browser: Client
) -> None:
    fill_up(owner)
    page = browser.post("/keys/create", {"name": "x"})
    assert page.status_code == 409
    assert "20 live keys" in page.content.decode()
    Grant.objects.update(revoked_at=timezone.now())
    page = browser.post("/keys/create", {"name": "x"})
    assert page.status_code == 403
    assert "completed payment" in page.content.decode()


def test_the_page_renames_and_rotates(owner: User, browser: Client) -> None:
    key = ApiKey.objects.get()
    browser.post(f"/keys/{key.pk}/rename", {"name": "office"})
    page = browser.post(f"/keys/{key.pk}/rotate", {"grace": "3600"})
    secret = SECRET.search(page.content.decode())
    assert secret is not None
    successor = ApiKey.objects.get(predecessor=key)
    assert successor.name == "office"
    assert successor.key_hash == tokens.digest(secret[0])
    again = browser.post(f"/keys/{key.pk}/rotate", {"grace": "3600"})
    assert again.status_code == 409
    assert browser.post(f"/keys/{successor.pk}/rotate", {"grace": "-1"}).status_code == 400
    assert browser.post(f"/keys/{successor.pk}/rename", {"name": ""}).status_code == 400
    assert browser.post(f"/keys/{key.pk}/reveal").status_code == 409


def test_the_pages_of_anothers_key_are_not_found(owner: User, stranger: User) -> None:
    key = ApiKey.objects.get()
    browser = Client()
    browser.force_login(stranger)
    for path in ("rename", "rotate", "reveal", "delete"):
        form = {"name": "mine", "grace": "0"}
        assert browser.post(f"/keys/{key.pk}/{path}", form).status_code == 404
    assert ApiKey.objects.filter(revoked_at=None, rotated_at=None, revealed_at=None).count() == 1
