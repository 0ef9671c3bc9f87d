"""No text that customers read is left in English: templates, pages in every state, error pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import translation
from pytest_django.fixtures import Settings

from accounts.models import User
from billing import views
from conversations.models import Conversation
from payflow.http import problems
from payflow.tests.test_customer_pages import STATES, paid
from support import roles
from support.tests.test_actions import confirm
from testing.factories import PASSWORD, ConversationFactory, UserFactory
from testing.keys import issued_key, revealed_key
from testing.marked_texts import Shown, marked, speaking_marked, unmarked_in_template, words

ROOT = Path(__file__).resolve().parents[2]
LANGUAGE = "de"
# The admin and the documents of the API are in English.
TEMPLATES = [
    path
    for folder in ("templates", "notifications/templates")
    for path in sorted((ROOT / folder).rglob("*.*"))
    if "drf_spectacular" not in path.parts
]
# Names, units and ids; and what a customer or Stripe wrote, which the tests write in digits.
NAMES = {"API", "UTC", "USD", "Deutsch", "English", "premium", "payflow"}
_DATA = re.compile(r"\S+@\S+|(?:https?://|/)\S+|\b(?:cs|pi|re|du|sk)_\w+|\b[A-Z2-7]{16,}\b")
# Their pages are Stripe's or in English, or they would end the visit.
NOT_VISITED = ("/admin/", "/static/", "/api/", "/accounts/logout/", "/accounts/language/")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_of_a_template_is_marked(path: Path) -> None:
    assert set(unmarked_in_template(path.read_text())) <= NAMES


def test_an_unmarked_text_of_a_template_is_found() -> None:
    source = """{% load i18n %}{# a remark #}{% comment %}of words{% endcomment %}
        <p class="{% if x == "y" %}some class{% endif %}" title="Hover">{% translate "fine" %}
        Left {{ user.name|default:"nobody" }} {{ at|date:"DATETIME_FORMAT" }}
        {{ x|default:_("ok") }}<input type="submit" value="Go">
        {% blocktranslate %}good{% endblocktranslate %}<code>curl -H</code>
        <button aria-label="{% translate "Close" %}">over</button>"""
    assert sorted(unmarked_in_template(source)) == ["Go", "Hover", "Left", "nobody", "over"]


# --- Pages ----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def in_marked_letters(settings: Settings) -> Iterator[None]:
    settings.SIGN_UP = True
    cache.clear()
    with speaking_marked(LANGUAGE):
        yield
    cache.clear()


@pytest.fixture
def support(db: None) -> Client:
    staff = UserFactory.create(is_staff=True)
    staff.groups.add(roles.create_roles()["support"])
    return browser(staff)


def browser(user: User | None = None, **options: Any) -> Client:
    client = Client(headers={"Accept-Language": LANGUAGE}, **options)
    if user is not None:
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def left_in_english(page: str) -> set[str]:
    """The words of a page that are neither marked nor data."""
    texts = [_DATA.sub(" ", text) for text in Shown(page).texts]
    return set(words(texts)) - NAMES


def paths_of(page: str, path: str) -> set[str]:
    """Where the page's links lead on this site."""
    targets = (
        urlsplit(urljoin(path, unescape(href))) for href in re.findall(r'href="([^"]*)"', page)
    )
    found = {f"{each.path}?{each.query}".rstrip("?") for each in targets if not each.netloc}
    return {path for path in found if path.startswith("/") and not path.startswith(NOT_VISITED)}


def pages_from(client: Client, *paths: str) -> Iterator[tuple[str, str]]:
    """Each page that links lead to, with its path."""
    seen, waiting = set(paths), list(paths)
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        if "Location" in answer.headers:
            target = answer.headers["Location"]
            more = {target} if target.startswith("/") else set()
        elif answer.headers["Content-Type"].startswith("text/html"):
            page = answer.content.decode()
            more = paths_of(page, path)
            yield path, page
        more = {each for each in more if not each.startswith(NOT_VISITED)}
        waiting += sorted(more - seen)
        seen |= more


_FORM = re.compile(r'<form[^>]*method="post"[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def forms_of(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of each form and its hidden fields."""
    for action, inside in _FORM.findall(page):
        if not action.startswith(NOT_VISITED) and not action.endswith("/pay"):
            yield action, dict(_HIDDEN.findall(inside))


def english_on_the_way(user: User | None, *paths: str) -> dict[str, set[str]]:
    """Visit every page, then send every form as it stands; what is left in English, by address."""
    visited = list(pages_from(browser(user), *paths))
    assert visited
    found = {path: left_in_english(page) for path, page in visited}
    sent = {action: fields for _, page in visited for action, fields in forms_of(page)}
    for action, fields in sent.items():
        page = browser(user).post(action, fields, follow=True)
        found[f"POST {action}"] = left_in_english(page.content.decode())
    return {path: left for path, left in found.items() if left}


@pytest.mark.django_db
@pytest.mark.parametrize("happens", [case[0] for case in STATES], ids=[case[1] for case in STATES])
def test_the_pages_of_a_payment_are_marked(happens: Callable[[Conversation], None]) -> None:
    conversation = ConversationFactory.create(title="1", user=UserFactory.create(name="2"))
    happens(conversation)
    assert english_on_the_way(conversation.user, "/", "/payments/cancel") == {}


@pytest.mark.django_db
def test_the_pages_of_keys_in_every_state_are_marked(support: Client) -> None:
    conversation = ConversationFactory.create(title="1", user=UserFactory.create(name="2"))
    paid(conversation)
    key = issued_key(conversation.orders.get())
    for kind in ("suspend_key", "restore_key", "resend_reveal"):
        confirm(support, key, kind, reason="7")
    owner = conversation.user
    for name, kinds in (("3", ("suspend_key",)), ("4", ("revoke_key",)), ("5", ())):
        made, _ = revealed_key(owner, name=name, grant=key.grant)
        for kind in kinds:
            confirm(support, made, kind, reason="7")
    browser(owner).post(f"/keys/{made.pk}/rotate", {"grace": "3600"})
    assert english_on_the_way(owner, "/keys") == {}
    confirm(support, key.grant, "stop_grant", reason="7")
    assert english_on_the_way(owner, "/keys") == {}
    confirm(support, key.grant, "resume_grant", reason="7")
    assert english_on_the_way(owner, "/keys", f"/keys/{key.pk}/reveal") == {}


@pytest.mark.django_db
def test_the_pages_of_visitors_and_of_accounts_are_marked() -> None:
    public = ("/accounts/login/", "/accounts/signup/", "/accounts/confirm/", "/accounts/confirm/x/")
    user = UserFactory.create(email="1@example.com", name="2", password=PASSWORD)
    assert english_on_the_way(None, *public, "/accounts/password_reset/sent/") == {}
    assert english_on_the_way(user, "/account/", "/account/erase/", "/accounts/2fa/") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/accounts/login/", {"username": "1@example.com", "password": "1"}),
        ("/accounts/signup/", {"email": "1", "password1": "1"}),
        ("/accounts/signup/", {"email": "1@example.com", "password1": "12345678901"}),
        ("/accounts/password_reset/", {"email": "1"}),
        ("/accounts/password_change/", {"old_password": "1", "new_password1": "1"}),
        ("/account/address/", {"email": "1@example.com", "password": PASSWORD}),
        ("/account/address/", {"email": "1", "password": "1"}),
        ("/account/name/", {"name": "1" * 300}),
        ("/keys/create", {"name": "1\u202e1"}),
        ("/keys/create", {"name": "1" * 300}),
        ("/keys/create", {"name": "sk_" + "1" * 64}),
        ("/keys/create", {"name": "1", "expires": "1"}),
        ("/nothing", {}),
    ],
)
def test_what_a_page_says_about_a_bad_form_is_marked(path: str, form: dict[str, str]) -> None:
    user = UserFactory.create(email="1@example.com", name="2", password=PASSWORD)
    signed_in = not path.startswith(("/accounts/login", "/accounts/signup", "/accounts/password_r"))
    page = browser(user if signed_in else None).post(path, form, follow=True)
    assert left_in_english(page.content.decode()) == set()


@pytest.mark.django_db
def test_refusals_are_marked() -> None:
    user = UserFactory.create(email="1@example.com", name="2", password=PASSWORD)
    form = {"username": user.email, "password": "wrong"}
    pages = [browser().post("/accounts/login/", form) for _ in range(6)]
    assert pages[-1].status_code == 429
    without_csrf_token = browser(user, enforce_csrf_checks=True).post("/account/name/")
    assert without_csrf_token.status_code == 403
    wrong_host = browser().get("/", headers={"Host": "evil.example"})
    assert wrong_host.status_code == 400
    control_character = browser().get("/", headers={"X-Any": "1\x01"})
    assert control_character.status_code == 400
    too_large = browser().post("/accounts/login/", b"1" * 2_000_000, content_type="text/plain")
    assert too_large.status_code in (400, 413)
    answers = [*pages, without_csrf_token, wrong_host, control_character, too_large]
    for answer in answers:
        assert left_in_english(answer.content.decode()) == set()


@pytest.mark.parametrize("status", problems.ERROR_PAGES)
def test_error_pages_are_marked(status: int) -> None:
    with translation.override(LANGUAGE):
        assert left_in_english(problems.error_page(status).content.decode()) == set()


@pytest.mark.parametrize("code", [*views.REFUSALS, "unavailable"])
def test_why_there_is_no_payment_page_is_marked(code: str) -> None:
    _, title, text = views.REFUSALS.get(code, (502, *views.UNAVAILABLE))
    with translation.override(LANGUAGE):
        assert words([str(title), str(text)]) == []
        assert str(title) == marked(str(title).replace("\u0301", ""))


def test_the_languages_are_named_in_their_own_words() -> None:
    assert {name for _, name in settings.LANGUAGES} <= NAMES
