"""Every kind of mail, from its cause to a real mail server: words, links and Message-ID."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client, TestCase
from django.utils import timezone
from pytest_django.fixtures import Settings

from notifications import mail
from notifications.kinds import KINDS
from notifications.models import MailStatus, Notification
from payflow.tests.mail_cases import CASES, Case
from payflow.tests.mail_causes import Scene
from testing import mail_server
from testing.mail_server import MailServer

pytestmark = [pytest.mark.http, pytest.mark.django_db]

LANGUAGES = ("en", "de")
SITE = "http://testserver"
SESSIONS = {"browser_sessions", "django_session"}
HELLO = {"en": "Hello,", "de": "Guten Tag,"}
END = {
    "en": "Questions? Write to help@acme.example.\n\n"
    "You get this message because of your account with Acme <Keys>. It is not an advertisement.",
    "de": "Fragen? Schreiben Sie an help@acme.example.\n\n"
    "Sie erhalten diese Nachricht wegen Ihres Kontos bei Acme <Keys>. Sie ist keine Werbung.",
}


@pytest.fixture(autouse=True)
def site(settings: Settings) -> Iterator[None]:
    settings.SITE_NAME, settings.SUPPORT_ADDRESS = "Acme <Keys>", "help@acme.example"
    settings.SIGN_UP = True
    cache.clear()  # django-allauth counts there
    yield
    cache.clear()


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server.running(settings) as running:
        yield running


class Page(HTMLParser):
    """The text of an HTML mail, a paragraph to a line, its links, and what it would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.links += [given["href"] or ""] if tag == "a" else []
        if tag in ("img", "link", "script", "iframe", "object") or given.keys() & {"src", "onload"}:
            self.loaded.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.text.splitlines() if line.strip()]


def sent_for(case: Case, scene: Scene, server: MailServer) -> tuple[Notification, EmailMessage]:
    """The row of the case's kind, and the message that the worker sends for it."""
    with TestCase.captureOnCommitCallbacks(execute=True):  # where django-allauth tells
        case.cause(scene)
    with time_machine.travel(timezone.now() + case.after, tick=True):
        case.then()
        assert set(mail.send_due()) == {"sent"}
    row = Notification.objects.filter(kind=case.kind).latest("pk")
    assert row.mail_status == MailStatus.SENT
    ids = [message["Message-ID"] for message in server.received]
    assert len(set(ids)) == len(ids)
    return row, server.received[ids.index(mail.message_id(row))]


def parts(message: EmailMessage) -> tuple[str, str]:
    """The plain text and the HTML."""
    text, page = message.iter_parts()
    assert (text.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    assert isinstance(text, EmailMessage)
    assert isinstance(page, EmailMessage)
    return "\n".join(text.get_content().splitlines()), page.get_content()


def expected(case: Case, scene: Scene, row: Notification, links: list[str]) -> str:
    words = case.words(scene.language)
    link = f"{words.link_label}:\n{links[0]}\n\n" if links else ""
    text = words.text.format_map(scene.facts(row))
    return f"{HELLO[scene.language]}\n\n{text}\n\n{link}{END[scene.language]}"


def stored() -> dict[str, Any]:
    """Every row of every table but those of sessions."""
    rows = {}
    with connection.cursor() as cursor:
        for table in set(connection.introspection.table_names(cursor)) - SESSIONS:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the tables' own names
            rows[table] = sorted(cursor.fetchall(), key=str)
    return rows


def test_every_kind_of_mail_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} == {
        name for name, kind in KINDS.items() if kind.subject
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mail_says_what_happened_in_its_readers_language(
    case: Case, language: str, server: MailServer
) -> None:
    scene = Scene(language)
    row, message = sent_for(case, scene, server)
    text, page = parts(message)
    links = re.findall(rf"{SITE}\S*", text)

    words = case.words(language)
    labels = {f"{words.link_label}:": words.link_label}
    subject = " ".join(message["Subject"].split())  # a folded header
    assert subject == words.subject.format_map(scene.facts(row))
    assert (message["To"], message["From"]) == (case.to, "payflow@example.com")
    assert text == expected(case, scene, row, links)
    assert [bool(re.fullmatch(SITE + case.path, link)) for link in links] == [True] * bool(
        case.path
    )

    shown = Page(page)
    assert f'<html lang="{language}">' in page
    assert set(shown.links) == set(links)
    assert shown.loaded == []
    in_text = [line for line in text.splitlines() if line]
    assert shown.lines == [subject, *(labels.get(line, line) for line in in_text)]
    assert "sk_" not in f"{message.as_string()}{text}{html.unescape(page)}"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mail_that_is_repeated_has_the_same_id_and_its_links_change_nothing(
    case: Case, server: MailServer
) -> None:
    scene, owner = Scene("en"), Client()
    owner.force_login(scene.user, "django.contrib.auth.backends.ModelBackend")
    row, message = sent_for(case, scene, server)
    # As the row is if the process died before it marked it, and its lease is over.
    own = Notification.objects.filter(pk=row.pk)
    own.update(mail_status=MailStatus.WAITING, mail_due_at=timezone.now(), mailed_at=None)
    assert list(mail.send_due()) == ["sent"]
    assert server.received[-1]["Message-ID"] == message["Message-ID"]

    before = stored()
    for link in re.findall(rf"{SITE}(/\S*)", parts(message)[0]):
        for browser in (Client(), owner):
            assert browser.head(link).status_code in (200, 302)
            assert browser.get(link, follow=True).status_code == 200
    assert stored() == before


def test_a_site_without_an_address_for_questions_names_none(
    server: MailServer, settings: Settings
) -> None:
    settings.SUPPORT_ADDRESS = ""
    case, scene = CASES["paid"], Scene("en")
    _, message = sent_for(case, scene, server)
    text, page = parts(message)
    assert "Questions" not in text + page
    assert "\n\n\n" not in text
