"""Every page of a customer: under 60 kB and four requests, no inline script or style."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.test import Client
from django.test.signals import template_rendered
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from billing.models import Order
from conversations.models import Conversation
from payflow.http import problems
from testing import pages
from testing.factories import PASSWORD, ConversationFactory, UserFactory
from testing.keys import paid_key
from testing.own_account import sign_in
from testing.pages import Visitor

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 60_000
MAX_REQUESTS = 4
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=")


def is_within_budget(page: str) -> None:
    files = set(re.findall(r'<(?:script|link|img)[^>]*(?:href|src)="(/[^"]+)"', page))
    assert 1 + len(files) <= MAX_REQUESTS
    assert len(page.encode()) + sum(map(size_of, files)) < MAX_BYTES
    assert not INLINE.search(re.sub(r'src="data:[^"]*"', "", page))
    assert not re.findall(r'(?:href|src)="(?:https?:)?//', page)


@functools.cache
def size_of(file: str) -> int:
    found = finders.find(file.removeprefix("/static/"))
    assert isinstance(found, str), file
    return Path(found).stat().st_size


@pytest.fixture(autouse=True)
def sign_up(settings: Settings) -> Iterator[None]:
    settings.SIGN_UP = True
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def customer(conversation: Conversation) -> User:
    user: User = conversation.user
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def ids(conversation: Conversation) -> dict[str, Any]:
    """Everything that a page is of."""
    key = paid_key(conversation)
    new = UserFactory.create(email="unconfirmed@example.com")
    address = EmailAddress.objects.create(user=new, email=new.email)
    return {
        "conversation_id": ConversationFactory.create(user=conversation.user).pk,
        "order_id": Order.objects.get().pk,
        "key_id": key.pk,
        "session_id": Order.objects.get().stripe_session_id,
        "account_confirm_email": EmailConfirmationHMAC.create(address).key,
        "uidb36": user_pk_to_url_str(new),
        "account_reset_password_from_key": default_token_generator.make_token(new),
    }


def with_factor(client: Client) -> str:
    """Add a second factor; return its secret."""
    form = {"password": PASSWORD, "next": "/accounts/2fa/totp/activate/"}
    page = client.post("/accounts/reauthenticate/", form, follow=True)
    secret = str(page.context["form"].secret)
    with time_machine.travel(timezone.now(), tick=False):  # no half minute ends meanwhile
        form = {"code": code_of(secret)}
        assert client.post("/accounts/2fa/totp/activate/", form).status_code == 302
    return secret


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def visit(user: User, ids: dict[str, Any]) -> dict[str, str]:
    """The content of every page, by the name of its route."""
    client = sign_in(user.email)
    contents: dict[str, str] = {}

    def get(visitor: Visitor, client: Client) -> None:
        for name, path in pages.addresses(visitor, ids).items():
            answer = client.get(path, follow=True)
            assert answer.status_code == 200, name
            contents[name] = answer.content.decode()

    get(Visitor.SIGNED_OUT, Client())
    get(Visitor.CUSTOMER, client)
    with_factor(client)
    get(Visitor.WITH_FACTOR, client)
    get(Visitor.HALF_SIGNED_IN, sign_in(user.email))
    return contents


def test_every_route_has_a_page_that_is_tested_or_a_reason() -> None:
    assert pages.routes() == set(pages.PAGES) | set(pages.NO_PAGE)


def test_every_page_fits_into_its_budget(customer: User, ids: dict[str, Any]) -> None:
    contents = visit(customer, ids)
    assert set(contents) == set(pages.PAGES)
    for name, content in contents.items():
        assert "<h1>" in content, name
        is_within_budget(content)


@pytest.mark.parametrize("status", pages.ERRORS)
def test_every_error_page_fits_into_its_budget(status: int) -> None:
    is_within_budget(problems.error_page(status).content.decode())


def test_the_maintenance_page_needs_nothing_but_its_style() -> None:
    page = pages.MAINTENANCE.read_text()
    assert re.findall(r'(?:href|src)="(.+?)"', page) == [f"/{pages.MAINTENANCE_STYLE.name}"]
    assert "style=" not in page
    assert len(page) + len(pages.MAINTENANCE_STYLE.read_text()) < MAX_BYTES


def answers_to_forms(user: User, ids: dict[str, Any]) -> Iterator[Callable[[], Any]]:
    """Pages that no GET of their own address shows."""
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    key = f"/keys/{ids['key_id']}"
    confirm = pages.address("account_confirm_email", ids)
    reset = f"/accounts/password_reset/{ids['uidb36']}-abc-def/"
    wrong = {"username": user.email, "password": "wrong"}
    yield lambda: client.post(f"{key}/reveal")
    yield lambda: client.post(f"{key}/rotate", {"grace": "0"})
    yield lambda: client.get("/nothing")
    yield lambda: Client().post(confirm)
    yield lambda: Client().get(confirm)
    yield lambda: Client().get(reset)
    yield lambda: client.post("/account/erase/", {"password": PASSWORD})
    for _ in range(6):
        yield lambda: Client().post("/accounts/login/", wrong)
    for _ in range(6):
        yield lambda: Client().post("/accounts/password_reset/", {"email": "a@example.com"})


def full_pages() -> set[str]:
    """The templates of whole pages."""
    folder = ROOT / "templates"
    found = {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*.html")
        if "drf_spectacular" not in path.parts
    }
    return {name for name, text in found.items() if '{% extends "' in text} - {
        "allauth/layouts/base.html"
    }


def test_every_template_of_a_page_fits_into_the_budget(customer: User, ids: dict[str, Any]) -> None:
    seen: set[str | None] = set()

    def note(template: Any, **_: Any) -> None:
        seen.add(template.name)

    template_rendered.connect(note)
    try:
        visit(customer, ids)
        for ask in answers_to_forms(customer, ids):
            content = ask().content.decode()
            if content:
                is_within_budget(content)
        EmailAddress.objects.update(verified=False)
        UserFactory.create(email="taken@example.com")
        EmailAddress.objects.update(email="taken@example.com")
        taken = Client().get(pages.address("account_confirm_email", ids))
        assert taken.status_code == 409
        is_within_budget(taken.content.decode())
    finally:
        template_rendered.disconnect(note)
    assert full_pages() - seen == set()
