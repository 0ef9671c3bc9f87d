"""Lockout after too many wrong passwords, on pages and in the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from testing.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

LIMIT = 5
WRONG = "a guess"
EMAIL = "ada@staff.example.com"
PAGES = ("/admin/login/", "/accounts/login/")


@pytest.fixture(autouse=True)
def ada(db: None) -> None:
    UserFactory.create(email=EMAIL, password=PASSWORD, is_staff=True)


def sign_in(page: str, password: str = WRONG, email: str = EMAIL, **extra: Any) -> int:
    form = {"username": email, "password": password}
    return Client().post(page, form, **extra).status_code


def token(password: str = WRONG) -> Any:
    body = {"email": EMAIL.upper(), "password": password}
    return Client().post("/api/auth/token", body, content_type="application/json")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_locks_out_after_five_wrong_passwords(page: str) -> None:
    assert [sign_in(page) for _ in range(LIMIT)] == [200] * (LIMIT - 1) + [429]
    answer = Client().post(page, {"username": EMAIL, "password": PASSWORD})
    assert answer.status_code == 429
    assert "Too many wrong passwords. Try again in 15 minutes." in answer.content.decode()
    assert answer.headers["Retry-After"] == "900"


def test_the_api_counts_too_and_answers_with_a_problem() -> None:
    answers = [token() for _ in range(LIMIT)]
    assert [answer.status_code for answer in answers] == [401] * (LIMIT - 1) + [429]
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    locked = token(PASSWORD)
    assert locked.status_code == 429
    assert locked.headers["Content-Type"] == "application/problem+json"
    assert locked.json()["code"] == "too_many_failures"
    assert locked.headers["Retry-After"] == "900"


def test_failures_add_up_across_pages_and_letter_case() -> None:
    for page in (*PAGES, *PAGES):
        assert sign_in(page, email=EMAIL.title()) == 200
    assert token().status_code == 429


def test_failures_from_another_address_do_not_lock_the_owner_out() -> None:
    for _ in range(LIMIT + 1):
        sign_in("/admin/login/", REMOTE_ADDR="203.0.113.7")
    assert sign_in("/admin/login/", PASSWORD) == 302


def behind(header: str, password: str = WRONG) -> int:
    """The status of a sign-in through a proxy."""
    return sign_in("/admin/login/", password, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=header)


def test_behind_a_proxy_the_address_is_the_one_the_proxy_saw(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    for number in range(LIMIT):
        status = behind(f"198.51.100.{number}, 203.0.113.7")  # the first the client wrote itself
    assert status == 429
    assert behind("198.51.100.2", PASSWORD) == 302


def test_without_a_trusted_proxy_x_forwarded_for_is_ignored(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 0}
    statuses = [behind(f"198.51.100.{number}") for number in range(LIMIT)]
    assert statuses[-1] == 429


def test_a_successful_sign_in_resets_the_count() -> None:
    for _ in range(2):
        assert [token().status_code for _ in range(LIMIT - 1)] == [401] * (LIMIT - 1)
        assert token(PASSWORD).status_code == 200


def test_a_lockout_ends_by_itself_and_further_tries_do_not_prolong_it() -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        for _ in range(LIMIT):
            sign_in("/admin/login/")
    with time_machine.travel(now + timedelta(minutes=14), tick=False):
        assert sign_in("/admin/login/", PASSWORD) == 429
    with time_machine.travel(now + timedelta(minutes=16), tick=False):
        assert sign_in("/admin/login/", PASSWORD) == 302


def test_an_administrator_ends_a_lockout() -> None:
    for _ in range(LIMIT):
        sign_in("/admin/login/")
    call_command("axes_reset_username", EMAIL, verbosity=0)
    assert sign_in("/admin/login/", PASSWORD) == 302
