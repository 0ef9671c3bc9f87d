"""Lockout after too many wrong passwords, on pages and in the API."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from payflow.tests.test_secrets import whole_database
from testing.factories import PASSWORD, UserFactory
from testing.secrets import API_KEY, JWT

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


# --- One limit for all doors -------------------------------------------------------------------


def signed_in_staff() -> Client:
    client = Client()
    client.force_login(User.objects.get(email=EMAIL), "django.contrib.auth.backends.ModelBackend")
    return client


def page_door(page: str) -> Any:
    return lambda email, password, **extra: sign_in(page, password, email, **extra)


def api_door(email: str, password: str, **extra: Any) -> int:
    body = {"email": email, "password": password}
    answer = Client().post("/api/auth/token", body, content_type="application/json", **extra)
    return answer.status_code


def change_door(email: str, password: str, **extra: Any) -> int:
    form = {"old_password": password, "new_password1": "x" * 20, "new_password2": "y" * 20}
    return signed_in_staff().post("/admin/password_change/", form, **extra).status_code


DOORS = {
    "page": page_door("/accounts/login/"),
    "admin": page_door("/admin/login/"),
    "API": api_door,
    "password change": change_door,
}


@pytest.fixture
def five_a_minute(in_one_minute: None, settings: Settings) -> None:
    settings.FAILED_AUTHENTICATIONS_PER_MINUTE = 5


@pytest.mark.parametrize("door", DOORS)
def test_every_door_counts_failures_of_a_network_whatever_account_they_name(
    door: str, five_a_minute: None
) -> None:
    enter = DOORS[door]
    if door == "password change":  # it names one account only: others fail before it
        statuses = [api_door(f"nobody{n}@example.com", WRONG) for n in range(4)]
        statuses += [enter("", WRONG)]
    else:
        statuses = [enter(f"nobody{n}@example.com", WRONG) for n in range(5)]
    assert set(statuses) <= {200, 401}
    for other in DOORS.values():  # the right password too, at every door
        assert other(EMAIL, PASSWORD) == 429
    assert sign_in("/admin/login/", PASSWORD, REMOTE_ADDR="203.0.113.7") == 302


def test_the_answer_says_when_the_network_may_try_again(five_a_minute: None) -> None:
    for number in range(5):
        sign_in("/accounts/login/", email=f"nobody{number}@example.com")
    page = Client().post("/accounts/login/", {"username": EMAIL, "password": PASSWORD})
    assert "Too many failed sign-ins from your network." in page.content.decode()
    assert 1 <= int(page.headers["Retry-After"]) <= 60


def test_wrong_old_passwords_lock_the_account_out_and_the_right_one_changes_it() -> None:
    form = {"new_password1": "a brand new one", "new_password2": "a brand new one"}
    client = signed_in_staff()
    answer = client.post("/admin/password_change/", {**form, "old_password": WRONG})
    assert "old password was entered incorrectly" in answer.content.decode()
    answer = client.post("/admin/password_change/", {**form, "old_password": PASSWORD})
    assert answer.headers["Location"] == "/admin/password_change/done/"
    statuses = [change_door(EMAIL, WRONG) for _ in range(LIMIT)]
    assert statuses[-1] == 429
    assert sign_in("/accounts/login/", "a brand new one") == 429


# --- The account that is meant -----------------------------------------------------------------

SPELLINGS = {
    "upper case": "VİCTÜM@EXAMPLE.COM".replace("İ", "I"),
    "a dotted capital I": "vİctüm@example.com",
    "decomposed": unicodedata.normalize("NFD", "victüm@example.com"),
    "decomposed capitals": unicodedata.normalize("NFD", "VICTÜM@EXAMPLE.COM"),
    "spaces": "  victüm@example.com ",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("door", ["page", "API"])
def test_every_spelling_of_an_address_counts_for_its_account(door: str, spelling: str) -> None:
    UserFactory.create(email="victüm@example.com", password=PASSWORD)
    enter = DOORS[door]
    assert enter(spelling, PASSWORD) in (200, 302)
    for _ in range(LIMIT):
        enter(spelling, WRONG)
    assert AccessAttempt.objects.get().username == "victüm@example.com"
    for known in (spelling, "victüm@example.com"):
        assert enter(known, PASSWORD) == 429


def test_a_door_that_names_the_account_by_email_counts_for_it_too() -> None:
    for _ in range(LIMIT):
        request = RequestFactory().post("/accounts/login/")
        assert authenticate(request, email=EMAIL, password=WRONG) is None
    assert AccessAttempt.objects.get().username == EMAIL
    assert token(PASSWORD).status_code == 429


# --- The network -------------------------------------------------------------------------------


def test_the_addresses_of_an_ipv6_network_are_one_network() -> None:
    for number in range(LIMIT):
        status = sign_in("/admin/login/", REMOTE_ADDR=f"2001:db8:1:2::{number + 1}")
    assert status == 429
    assert sign_in("/admin/login/", PASSWORD, REMOTE_ADDR="2001:db8:1:2:ffff::9") == 429
    assert sign_in("/admin/login/", PASSWORD, REMOTE_ADDR="2001:db8:1:3::1") == 302


@pytest.mark.parametrize(
    ("entry", "network"),
    [
        ("192.0.2.1:50000", "192.0.2.1"),
        ("[2001:db8::5]:443", "2001:db8::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("a" * 300, "10.0.0.1"),
    ],
)
def test_an_address_of_any_form_is_counted(entry: str, network: str, settings: Settings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    assert behind(entry) == 200
    assert AccessAttempt.objects.get().ip_address == network
    assert behind(entry, PASSWORD) == 302


def test_without_any_address_failures_are_counted_together() -> None:
    for _ in range(LIMIT):
        status = sign_in("/admin/login/", REMOTE_ADDR="")
    assert status == 429


# --- What was typed is not stored --------------------------------------------------------------

PASTED = {"key": API_KEY, "JWT": JWT, "password": "correct horse battery staple"}


@pytest.mark.parametrize("pasted", PASTED.values(), ids=PASTED.keys())
def test_nothing_that_a_visitor_typed_or_sent_is_stored(
    pasted: str, caplog: pytest.LogCaptureFixture
) -> None:
    query, headers = f"?next=/{quote(pasted)}&key={quote(pasted)}", {"User-Agent": pasted}
    sent = {**headers, "Accept": pasted, "Referer": f"http://testserver/{quote(pasted)}"}
    for page in PAGES:
        for form in (
            {"username": pasted, "password": WRONG},
            {"username": EMAIL, "password": pasted},
            {"username": "", "password": pasted, "another": pasted},
        ):
            for _ in range(2):
                Client(headers=sent).post(f"{page}{query}", form)
    for body in (
        {"email": pasted, "password": WRONG},
        {"email": EMAIL, "password": pasted, "another": pasted},
    ):
        Client(headers=headers).post(
            f"/api/auth/token{query}", body, content_type="application/json"
        )
    Client(headers=headers).post(
        f"/api/auth/token/refresh{query}", {"refresh": pasted}, content_type="application/json"
    )
    signed_in_staff().post(
        f"/admin/password_change/{query}",
        {"old_password": pasted, "new_password1": pasted, "new_password2": WRONG},
        headers=sent,
    )
    assert AccessAttempt.objects.count() >= 2
    assert pasted not in whole_database()
    assert pasted[20:] not in whole_database()
    assert pasted not in caplog.text


def test_an_attempt_has_the_account_and_the_network_only() -> None:
    sign_in("/admin/login/", HTTP_USER_AGENT="an agent")
    attempt = AccessAttempt.objects.get()
    assert (attempt.username, attempt.ip_address) == (EMAIL, "127.0.0.1")
    assert attempt.path_info == "/admin/login/"
    stored = (attempt.user_agent, attempt.http_accept, attempt.get_data, attempt.post_data)
    assert set(stored) == {""}


def test_other_agents_of_the_network_share_the_count() -> None:
    for number in range(LIMIT):
        status = sign_in("/admin/login/", HTTP_USER_AGENT=f"agent {number}")
    assert status == 429
    assert AccessAttempt.objects.get().failures_since_start == LIMIT
