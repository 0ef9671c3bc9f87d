"""A lost answer or a double click never costs the owner the key: repeats show the same secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import services, tokens
from apikeys.models import REPEATABLE_FOR, ApiKey
from conversations.models import Conversation
from testing.clients import bearer
from testing.concurrency import concurrently
from testing.keys import paid_key

pytestmark = pytest.mark.django_db

URL = "/api/api-keys"
SECRET = re.compile(r"sk_[0-9a-f]{64}")
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
ApiOf = Callable[[User], APIClient]
DOORS = ("create", "reveal", "rotate")


@pytest.fixture
def key(conversation: Conversation) -> ApiKey:
    """The key that a payment issued, not yet revealed."""
    return paid_key(conversation)


@pytest.fixture
def api(key: ApiKey, api_of: ApiOf) -> APIClient:
    return api_of(key.user)


@pytest.fixture
def browser(key: ApiKey) -> Client:
    client = Client()
    client.force_login(key.user)
    return client


def ask(api: APIClient, key: ApiKey, door: str, *, token: str | None = "once", **body: Any) -> Any:
    """Call one of the three routes that show a secret."""
    path, given = (URL, {"name": "laptop"}) if door == "create" else (f"{URL}/{key.pk}/{door}", {})
    headers = {} if token is None else {"Idempotency-Key": token}
    return api.post(path, {**given, **body}, format="json", headers=headers)


def send(browser: Client, key: ApiKey, door: str, token: str) -> Any:
    """Send one of the three forms of the page."""
    path = "/keys/create" if door == "create" else f"/keys/{key.pk}/{door}"
    return browser.post(path, {"name": "laptop", "grace": "3600", "form_token": token})


@pytest.mark.parametrize("door", DOORS)
def test_a_repeat_within_a_minute_is_answered_with_the_same_secret(
    api: APIClient, key: ApiKey, door: str
) -> None:
    first, second = (ask(api, key, door) for _ in range(2))
    assert first.status_code == second.status_code in (200, 201)
    assert first.json() == second.json()
    assert second.headers["Cache-Control"] == "no-store"
    assert bearer(first.json()["key"]).get("/api/conversations").status_code == 200
    assert ApiKey.objects.count() == (1 if door == "reveal" else 2)


@pytest.mark.parametrize("door", DOORS)
def test_a_repeat_after_a_minute_is_refused(api: APIClient, key: ApiKey, door: str) -> None:
    ask(api, key, door)
    ApiKey.objects.update(revealed_at=timezone.now() - REPEATABLE_FOR)
    again = ask(api, key, door)
    assert again.status_code == 409
    codes = {"create": "already_created", "reveal": "already_revealed", "rotate": "already_rotated"}
    assert again.json()["code"] == codes[door]
    assert "key" not in again.json()


@pytest.mark.parametrize("door", ["reveal", "rotate"])
@pytest.mark.parametrize("token", [None, "another"])
def test_any_other_repeat_is_refused(
    api: APIClient, key: ApiKey, door: str, token: str | None
) -> None:
    assert ask(api, key, door).status_code in (200, 201)
    assert ask(api, key, door, token=token).status_code == 409


def test_another_token_creates_another_key(api: APIClient, key: ApiKey) -> None:
    secrets = {ask(api, key, "create", token=token).json()["key"] for token in ("1", "2")}
    assert len(secrets) == 2


@pytest.mark.parametrize(
    ("door", "body"),
    [
        ("create", {"name": "desktop"}),
        ("create", {"expiresAt": "2099-01-01T00:00:00Z"}),
        ("rotate", {"graceSeconds": 60}),
    ],
)
def test_a_repeat_with_another_body_is_a_conflict(
    api: APIClient, key: ApiKey, door: str, body: dict[str, Any]
) -> None:
    ask(api, key, door)
    again = ask(api, key, door, **body)
    assert again.status_code == 409
    assert again.json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("end", ["revoked_at", "suspended_at", "expires_at"])
def test_the_secret_of_a_key_that_has_ended_is_not_shown_again(
    api: APIClient, key: ApiKey, door: str, end: str
) -> None:
    shown = ask(api, key, door).json()["id"]
    ApiKey.objects.filter(pk=shown).update(**{end: timezone.now() - timedelta(seconds=1)})
    again = ask(api, key, door)
    assert again.status_code in (404, 409)
    assert "key" not in again.json()


def test_the_same_token_of_two_users_or_of_two_keys_gives_unlike_secrets(
    api: APIClient, key: ApiKey, stranger: User
) -> None:
    def secret(user_id: int, action: str, key_id: int | None) -> str:
        return services._secret(user_id, action, key_id, "once")

    mine = secret(key.user_id, "reveal", key.pk)
    assert mine == ask(api, key, "reveal").json()["key"]
    others = {
        secret(stranger.pk, "reveal", key.pk),
        secret(key.user_id, "reveal", key.pk + 1),
        secret(key.user_id, "rotate", key.pk),
        secret(key.user_id, "create", None),
    }
    assert len(others | {mine}) == 5
    assert all(tokens.is_well_formed(each) for each in others)


def test_the_secret_depends_on_the_servers_key() -> None:
    facts = {"user_id": 1, "action": "reveal", "key_id": 2, "token": "once"}
    one, two = (tokens.derive(secret_key=name, **facts) for name in ("one", "two"))  # type: ignore[arg-type]
    assert one != two


@pytest.mark.parametrize("key_text", ["", "x" * 256, "two words", "\u00e9"])
def test_a_malformed_idempotency_key_is_refused(api: APIClient, key: ApiKey, key_text: str) -> None:
    answer = ask(api, key, "reveal", token=key_text)
    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_refused"
    key.refresh_from_db()
    assert not key.is_revealed


@pytest.mark.parametrize("door", DOORS)
def test_a_form_sent_twice_shows_the_same_key_twice(
    browser: Client, key: ApiKey, door: str
) -> None:
    token = TOKEN.search(browser.get("/keys").content.decode())
    assert token is not None
    pages = [send(browser, key, door, token[1]) for _ in range(2)]
    assert [page.status_code for page in pages] == [200, 200]
    first, second = (SECRET.findall(page.content.decode()) for page in pages)
    assert first == second != []
    assert ApiKey.objects.count() == (1 if door == "reveal" else 2)
    assert token[1] not in pages[0].content.decode()


@pytest.mark.parametrize("token", ["", "short", "x" * 101, "<script>alert(1)</script>"])
def test_a_form_with_no_usable_token_works_once(browser: Client, key: ApiKey, token: str) -> None:
    assert [send(browser, key, "reveal", token).status_code for _ in range(2)] == [200, 409]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", DOORS)
def test_the_same_request_many_times_at_once_shows_one_secret(
    key: ApiKey, api_of: ApiOf, door: str, deadlocks: Callable[[], list[str]]
) -> None:
    clients = [api_of(key.user) for _ in range(4)]
    answers = concurrently(*[lambda c=client: ask(c, key, door) for client in clients])
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["key"] for answer in answers}) == 1
    assert ApiKey.objects.count() == (1 if door == "reveal" else 2)
    assert deadlocks() == []


def form_of(page: str, action: str) -> dict[str, str]:
    """The values that a page's form sends to this address."""
    form = re.search(rf'<form[^>]* action="{action}".*?</form>', page, re.DOTALL)
    assert form is not None, f"no form for {action}"
    token = TOKEN.search(form[0])
    return {"form_token": token[1]} if token else {}


@pytest.mark.parametrize("door", DOORS)
def test_who_lost_the_answer_and_goes_back_is_shown_the_key_again(
    browser: Client, key: ApiKey, door: str
) -> None:
    if door == "rotate":
        services.reveal(user_id=key.user_id, key_id=key.pk)
    at = "/keys" if door in ("create", "reveal") else f"/keys/{key.pk}/rotate"
    action = "/keys/create" if door == "create" else f"/keys/{key.pk}/{door}"
    given = form_of(browser.get(at).content.decode(), action)
    lost = SECRET.search(
        browser.post(action, {"name": "x", "grace": "0", **given}).content.decode()
    )
    assert lost is not None
    minted = ApiKey.objects.order_by("pk").last()
    assert minted is not None
    again = f"/keys/{minted.pk}/reveal"
    page = browser.get("/keys").content.decode()
    shown = browser.post(again, form_of(page, again))
    assert shown.status_code == 200
    assert SECRET.findall(shown.content.decode())[0] == lost[0]
    assert ApiKey.objects.count() == (1 if door == "reveal" else 2)

    another = Client()  # the same person, elsewhere
    another.force_login(key.user)
    assert another.post(again).status_code == 409
    ApiKey.objects.update(revealed_at=timezone.now() - REPEATABLE_FOR)
    assert f'action="{again}"' not in browser.get("/keys").content.decode()
    late = browser.post(again)
    assert late.status_code == 409
    assert not SECRET.search(late.content.decode())


def test_two_keys_made_one_after_the_other_are_two(browser: Client, key: ApiKey) -> None:
    for _ in range(2):
        given = form_of(browser.get("/keys").content.decode(), "/keys/create")
        assert browser.post("/keys/create", {"name": "same", **given}).status_code == 200
    assert ApiKey.objects.filter(name="same").count() == 2


def test_the_token_of_a_form_is_of_one_user_one_browser_one_action_and_one_key(
    browser: Client, key: ApiKey
) -> None:
    found = set()
    for client in (browser, Client()):
        client.force_login(key.user)
        page = client.get("/keys").content.decode()
        found |= {
            form_of(page, path)["form_token"] for path in (f"/keys/{key.pk}/reveal", "/keys/create")
        }
    assert len(found) == 4
