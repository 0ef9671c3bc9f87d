"""Input that is too large, nested too deeply, or holds control characters: refused, never a 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files import uploadedfile, uploadhandler
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import issue_access
from billing.events import log
from billing.models import EventStatus, StripeEvent
from conversations.models import Conversation
from payflow.cache import JSONSerializer
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.keys import revealed_key

MIB = 1024 * 1024
ORIGIN = "https://app.example.com"
PAGES = ("/accounts/login/", "/admin/login/", "/keys/create", "/payments/cancel", "/", "/nothing")


# --- Size --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/api/auth/token", "/api/payments/link", stripe.URL])
def test_a_body_over_one_mebibyte_is_refused_before_it_is_read(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("something was written to disk")

    monkeypatch.setattr(uploadhandler, "TemporaryUploadedFile", opened)
    monkeypatch.setattr(uploadedfile, "TemporaryUploadedFile", opened)
    files = {"file": SimpleUploadedFile("a.bin", b"x" * (3 * MIB))}
    response = Client().post(path, {"name": "x", **files})
    assert response.status_code == 413
    assert "larger than 1 MiB" in response.content.decode()
    problem = response.headers["Content-Type"] == "application/problem+json"
    assert problem is path.startswith("/api")


def test_a_file_below_the_limit_is_neither_written_nor_kept(stranger: User) -> None:
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    response = client.post("/", {"title": "x", "file": SimpleUploadedFile("a.bin", b"x" * MIB)})
    assert response.status_code == 413
    response = client.post("/", {"title": "x", "file": SimpleUploadedFile("a.bin", b"x" * 900_000)})
    assert response.status_code == 302
    assert not response.wsgi_request.FILES


def test_no_upload_handler_is_configured() -> None:
    assert django_settings.FILE_UPLOAD_HANDLERS == []


@pytest.mark.parametrize("path", [*PAGES, "/api/auth/token"])
def test_a_body_of_unknown_length_is_refused_on_every_route(path: str) -> None:
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    assert Client().post(path, headers=chunked).status_code == 411


# --- Control characters ------------------------------------------------------------------------

CONTROLS = ["\0", "\x01", "\x1f", "\x7f"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/admin/", "/api/conversations"])
@pytest.mark.parametrize("value", [r'"\000aaaaaaaaaa"', r'"aaaaaaaaaa\000"', r'"\177aaaaaaaaa"'])
@pytest.mark.parametrize("name", ["sessionid", "csrftoken"])
def test_a_cookie_with_a_control_character_counts_as_not_sent(
    path: str, value: str, name: str
) -> None:
    response = Client().get(path, HTTP_COOKIE=f"{name}={value}")
    without = Client().get(path)
    assert response.status_code == without.status_code
    assert response.status_code in (200, 302, 401)


def test_other_cookies_beside_it_are_read(stranger: User) -> None:
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    session = client.cookies["sessionid"].value
    cookies = rf'other="\000x"; sessionid={session}; quoted="a\"b"'
    assert Client().get("/", HTTP_COOKIE=cookies).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("control", ["\0", "\x7f"])
@pytest.mark.parametrize(
    "header",
    ["User-Agent", "Referer", "Origin", "Accept", "X-Forwarded-For", "Stripe-Signature", "X-Any"],
)
@pytest.mark.parametrize("path", ["/accounts/login/", "/api/auth/token", stripe.URL, "/healthz"])
def test_a_header_with_a_control_character_is_a_400(path: str, header: str, control: str) -> None:
    response = Client().post(path, headers={header: f"a{control}b"})
    assert response.status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("control", CONTROLS)
def test_fields_and_queries_with_a_control_character_are_no_500(
    stranger: User, control: str
) -> None:
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    text = f"a{control}b"
    asked = [
        client.post("/", {"title": text}),
        client.get("/payments/success", {"session_id": text}),
        client.get("/accounts/login/", {"next": text}),
        Client().post("/accounts/login/", {"username": text, "password": text}),
        Client().post(
            "/api/auth/token", {"email": text, "password": text}, content_type="application/json"
        ),
        bearer(issue_access(stranger)).get("/api/conversations", {"cursor": text}),
        bearer(issue_access(stranger)).post("/api/conversations", {"title": text}, format="json"),
    ]
    assert [response.status_code for response in asked if response.status_code >= 500] == []


# --- Depth -------------------------------------------------------------------------------------


def nested(depth: int, *, inside: str = "list") -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if inside == "list" else {"a": value}
    return value


def deliver_text(body: str) -> Any:
    headers = {"Stripe-Signature": stripe.signature(body)}
    return Client().post(stripe.URL, body, content_type="application/json", headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize("inside", ["list", "dict"])
@pytest.mark.parametrize("depth", [log.MAX_DEPTH, 300, 480, 900, 990])
def test_a_signed_event_nested_too_deeply_is_refused_and_not_stored(
    conversation: Conversation, depth: int, inside: str
) -> None:
    event = stripe.completed(conversation, metadata={**stripe.reference(conversation), "x": None})
    text = json.dumps(event)
    open_, close = ("[", "]") if inside == "list" else ('{"a":', "}")
    response = deliver_text(text.replace('"x": null', f'"x": {open_ * depth}1{close * depth}'))
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_event"
    assert not StripeEvent.objects.exists()


@pytest.mark.django_db
def test_a_signed_body_of_brackets_is_refused() -> None:
    assert deliver_text("[" * 200_000).status_code == 400


@pytest.mark.django_db
def test_an_event_of_many_objects_is_not_deep(conversation: Conversation) -> None:
    event = stripe.completed(conversation, custom=[{"a": [{}]}] * 500, deep=nested(50))
    assert stripe.deliver(event).status_code == 200
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED


@pytest.mark.django_db
@pytest.mark.parametrize("depth", [50, 900, 5000])
@pytest.mark.parametrize("around", ["{}", '{{"title": {}}}'])
@pytest.mark.parametrize("path", ["/api/conversations", "/api/payments/link", "/api/api-keys"])
def test_a_deep_body_is_a_400_on_every_route(
    stranger: User, path: str, around: str, depth: int
) -> None:
    body = around.format("[" * depth + "]" * depth)
    client = bearer(issue_access(stranger))
    response = client.post(path, body, content_type="application/json")
    assert response.status_code in (400, 403)


@pytest.mark.django_db
@pytest.mark.parametrize("depth", [480, 700])
def test_staff_see_the_page_of_a_deep_event_that_was_stored_by_sql(
    admin_client: Client, depth: int
) -> None:
    event = StripeEvent.objects.create(
        event_id="evt_1", type="x", payload={"data": {"object": {"deep": nested(depth)}}}
    )
    page = admin_client.get(reverse("admin:billing_stripeevent_change", args=[event.pk]))
    assert page.status_code == 200


@pytest.mark.django_db
def test_the_page_of_an_event_with_a_long_text_costs_linear_time(admin_client: Client) -> None:
    event = StripeEvent.objects.create(
        event_id="evt_1",
        type="x",
        payload={"data": {"object": {"text": "a" * 200_000, "sk_live_51Habcdefghijklmnop": 1}}},
    )
    page = admin_client.get(reverse("admin:billing_stripeevent_change", args=[event.pk]))
    assert page.status_code == 200
    assert "51Habcdefghijklmnop" not in page.content.decode()


# --- Cross-origin answers ----------------------------------------------------------------------


def broken(*_: Any) -> None:
    raise RuntimeError("broken")


REFUSED: dict[str, tuple[Callable[[Client], Any], int]] = {
    "too large": (lambda it: it.post("/api/auth/token", b"x" * (MIB + 1), "text/plain"), 413),
    "unknown length": (
        lambda it: it.post(
            "/api/auth/token", headers={"Transfer-Encoding": "chunked", "Content-Length": ""}
        ),
        411,
    ),
    "bad host": (lambda it: it.get("/api/conversations", headers={"Host": "evil.example"}), 400),
    "bad header": (lambda it: it.get("/api/conversations", headers={"X-Any": "\x01"}), 400),
    "not found": (lambda it: it.get("/api/nothing"), 404),
    "wrong method": (lambda it: it.put("/api/webhooks/stripe"), 405),
    "not signed in": (lambda it: it.get("/api/conversations"), 401),
    "not signed": (lambda it: it.post("/api/webhooks/stripe"), 400),
    "broken": (lambda it: it.get("/api/orders"), 500),
    "a broken check of a key": (lambda it: it.get("/api/api-keys/verify"), 500),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", REFUSED)
def test_an_allowed_origin_can_read_every_refusal(
    kind: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    if "broken" in kind:
        monkeypatch.setattr("apikeys.bearer.bearer_token", broken)
    ask, status = REFUSED[kind]
    response = ask(Client(raise_request_exception=False, headers={"Origin": ORIGIN}))
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Content-Type"] == "application/problem+json"
    elsewhere = ask(Client(raise_request_exception=False, headers={"Origin": "https://a.example"}))
    assert "Access-Control-Allow-Origin" not in elsewhere.headers


@pytest.mark.usefixtures("in_one_minute")
@pytest.mark.django_db
def test_a_browser_can_read_every_header_that_an_answer_has(
    settings: Settings, stranger: User
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    settings.API_KEY_REQUESTS_PER_MINUTE = 1
    client = bearer(revealed_key(stranger)[1])
    answers: list[Any] = [
        client.get("/api/api-keys/verify", headers={"Origin": ORIGIN}) for _ in range(2)
    ]
    answers += [
        client.get("/api/schema", headers={"Origin": ORIGIN}),
        Client().put("/api/auth/token", headers={"Origin": ORIGIN}),
        Client().get("/api/conversations", headers={"Origin": ORIGIN}),
    ]
    assert [answer.status_code for answer in answers] == [204, 429, 200, 405, 401]
    # Headers that browsers show anyway (the Fetch standard's safelist), or use themselves.
    readable = {"cache-control", "content-length", "content-type", "vary", "content-disposition"}
    readable |= {"content-security-policy", "cross-origin-opener-policy", "referrer-policy"}
    readable |= {"x-content-type-options", "x-frame-options"}
    for answer in answers:
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        own = {name.lower() for name in answer.headers} - readable
        assert {name for name in own if not name.startswith("access-control-")} <= set(exposed)
    assert "retry-after" in exposed


# --- The rest ----------------------------------------------------------------------------------


def test_a_prefix_of_the_path_in_the_environment_is_ignored() -> None:
    response = Client(SCRIPT_NAME="/x").get("/keys")
    assert response.headers["Location"] == "/accounts/login/?next=/keys"


@pytest.mark.django_db
@pytest.mark.parametrize("signature", [None, "", "x", "t=1", "t=1,v1=0", "v1=0", "t=x,v1=y"])
def test_a_refused_signature_is_told_in_our_own_words(signature: str | None) -> None:
    headers = {} if signature is None else {"Stripe-Signature": signature}
    response = Client().post(stripe.URL, "{}", content_type="application/json", headers=headers)
    assert response.status_code == 400
    detail = response.json()["detail"]
    assert detail.startswith(("The Stripe-Signature header is", "The signature does not fit"))


@pytest.mark.parametrize("value", [1, -5, "text", True, None, {"a": [1, 2]}])
def test_the_shared_cache_returns_what_it_was_given(value: Any) -> None:
    stored = JSONSerializer().dumps(value)
    assert JSONSerializer().loads(str(stored).encode()) == value
