"""Pages in another language: whose choice counts, and the translations are complete."""

from __future__ import annotations

from http.cookies import SimpleCookie
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from django.conf import settings
from django.test import Client
from django.utils import translation

from accounts.models import User
from devtools import messages
from testing.factories import PASSWORD, UserFactory

CATALOGUES = [
    (files, marked)
    for language in messages.LANGUAGES
    for files, marked in messages.catalogues(language).items()
]
NAMES = [str(files.po.relative_to(messages.ROOT)) for files, _ in CATALOGUES]
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def language_of(client: Client, path: str = "/accounts/login/", **headers: str) -> str:
    """The language that a page says it is in, in its header and its markup."""
    response = client.get(path, headers=headers)
    language = response.headers["Content-Language"]
    assert f'<html lang="{language}">' in response.content.decode()
    return language


# --- The catalogues -----------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "marked"), CATALOGUES, ids=NAMES)
def test_every_marked_text_is_translated_and_none_is_left_over(
    files: messages.Files, marked: set[Any]
) -> None:
    catalogue = messages.in_step(files, marked)
    assert messages.faults(catalogue) == []
    assert files.po.read_text() == messages.as_po(catalogue), "run `make messages`"


@pytest.mark.parametrize(("files", "marked"), CATALOGUES, ids=NAMES)
def test_the_compiled_catalogue_is_that_of_the_texts(
    files: messages.Files, marked: set[Any]
) -> None:
    compiled = messages.as_mo(messages.in_step(files, marked))
    assert files.mo.read_bytes() == compiled, "run `make messages`"


def test_every_language_but_the_texts_own_has_catalogues() -> None:
    assert [code for code, _ in settings.LANGUAGES] == ["en", *messages.LANGUAGES]


def test_texts_are_found_in_templates_and_python(tmp_path: Path) -> None:
    template, module = tmp_path / "page.html", tmp_path / "module.py"
    template.write_text(
        """<p>Not marked's
             {% translate "One" %}
        {% blocktranslate count n=n trimmed %}{{ n }} key{% plural %}{{ n }}
          keys{% endblocktranslate %}</p>"""
    )
    module.write_text('x = gettext_lazy("Two " "parts"), pgettext("month", "May"), "no"\n')
    found = list(chain(messages.texts(template), messages.texts(module)))
    assert found == [
        ("One", None),
        (("%(n)s key", "%(n)s keys"), None),
        ("Two parts", None),
        ("May", "month"),
    ]


def test_a_wrong_placeholder_is_a_fault() -> None:
    catalogue = Catalog(locale="de")
    catalogue.add("%(n)s of %(all)s", "%(n)s von %(alle)s")
    catalogue.add(("%(n)s key", "%(n)s keys"), ("%(n)s Schlüssel", ""))
    assert len(messages.faults(catalogue)) == 2


# --- Whose choice counts ------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        *(("de", "de"), ("de-AT,en;q=0.5", "de"), ("fr,de;q=0.2", "de"), ("en-GB", "en")),
        *(("", "en"), ("fr", "en"), ("x" * 9000, "en"), ("de\x01", "en"), ("*", "en")),
    ],
)
def test_a_page_is_in_the_browsers_language(asked: str, answered: str) -> None:
    headers = {"Accept-Language": asked}
    assert Client().get("/accounts/login/", headers=headers).headers["Content-Language"] == answered
    assert translation.get_language() == "en"  # of whatever the thread does next


@pytest.mark.django_db
def test_the_language_chosen_on_a_page_counts_more_than_the_browsers() -> None:
    client = Client()
    chosen = client.post(
        "/accounts/language/", {"language": "de", "next": "/accounts/login/?next=/keys"}
    )
    assert (chosen.status_code, chosen.url) == (302, "/accounts/login/?next=/keys")  # type: ignore[attr-defined]
    cookie = chosen.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert language_of(client, **{"Accept-Language": "en"}) == "de"


@pytest.mark.django_db
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:1"])
def test_a_choice_of_language_leads_to_no_other_site(target: str) -> None:
    response = Client().post("/accounts/language/", {"language": "de", "next": target})
    assert response.headers["Location"] == "/"


def test_a_language_that_does_not_exist_changes_nothing(stranger: User) -> None:
    client = Client()
    client.force_login(stranger)
    for language in ("fr", "", "de\x00", "../de", "x" * 5000):
        response = client.post("/accounts/language/", {"language": language})
        assert response.status_code == 400
        assert settings.LANGUAGE_COOKIE_NAME not in response.cookies
    stranger.refresh_from_db()
    assert stranger.language == ""
    client.cookies = SimpleCookie({settings.LANGUAGE_COOKIE_NAME: "../../etc"})
    assert language_of(client) == "en"


def test_a_choice_is_kept_with_the_account_and_another_browser_keeps_its_own(db: None) -> None:
    user = UserFactory.create(password=PASSWORD)
    first = Client()
    first.force_login(user)
    first.post("/accounts/language/", {"language": "de"})
    second = Client()
    sign_in = {"username": user.email, "password": PASSWORD}
    assert second.post("/accounts/login/", sign_in).status_code == 302
    assert language_of(second, "/") == "en"
    user.refresh_from_db()
    assert user.language == "de"


def test_a_first_sign_in_tells_the_account_the_browsers_language(db: None) -> None:
    user = UserFactory.create(password=PASSWORD)
    sign_in = {"username": user.email, "password": PASSWORD}
    assert Client().post("/accounts/login/", sign_in, headers=GERMAN).status_code == 302
    user.refresh_from_db()
    assert user.language == "de"


def test_error_pages_speak_the_visitors_language_too(stranger: User) -> None:
    client = Client()
    client.force_login(stranger)
    assert language_of(client, "/nothing", **GERMAN) == "de"
    refused = client.get("/", headers={**GERMAN, "Host": "evil.example"})
    assert refused.status_code == 400
    assert '<html lang="de">' in refused.content.decode()


def test_the_api_and_the_admin_are_in_english(admin_client: Client) -> None:
    api = admin_client.post("/api/conversations", {}, "application/json", headers=GERMAN)
    assert "This field is required." in api.content.decode()
    admin = admin_client.get("/admin/", headers=GERMAN).content.decode()
    assert '<html lang="en' in admin
    assert "Log out" in admin or "Sign out" in admin


def test_a_time_says_its_zone_in_every_language_and_in_the_admin(admin_client: Client) -> None:
    assert " UTC" in admin_client.get("/admin/accounts/user/").content.decode()
