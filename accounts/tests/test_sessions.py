"""Where a customer is signed in: the list of sessions, and how they are ended."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.sessions import BrowserSession
from payflow import personal_data
from testing.factories import PASSWORD, UserFactory
from testing.own_account import OTHER_PASSWORD, is_signed_in, sign_in

pytestmark = pytest.mark.django_db


def test_all_other_sessions_are_ended(stranger: User) -> None:
    user = UserFactory.create(password=PASSWORD)
    browser, *others = (sign_in(user.email) for _ in range(3))
    theirs = Client()
    theirs.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    browser.post("/account/sessions/")
    assert [is_signed_in(each) for each in (browser, *others, theirs)] == [True, False, False, True]


FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
)


def browser_of(user: User, user_agent: str = "", address: str = "192.0.2.7") -> Client:
    return sign_in(user.email, client=Client(HTTP_USER_AGENT=user_agent, REMOTE_ADDR=address))


def account_page(client: Client) -> str:
    return client.get("/account/").content.decode()


def handles_in(page: str) -> list[str]:
    return re.findall(r'name="session" value="(\w+)"', page)


def test_one_sees_where_one_is_signed_in_and_ends_any_other_session(stranger: User) -> None:
    user = UserFactory.create(password=PASSWORD)
    desk, phone = browser_of(user, FIREFOX), browser_of(user, IPHONE, "2001:db8:1:2:3::4")
    theirs = Client()
    theirs.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    page = account_page(desk)
    this, other = re.findall(r'<li class="row">.*?</li>', page, re.DOTALL)
    assert "Firefox on Windows" in this
    assert "This one" in this
    assert "192.0.2.7" in this
    assert "Safari on iPhone" in other
    assert "2001:db8:1:2::" in other
    assert re.search(r"last used .* UTC", other)
    (handle,) = handles_in(page)
    assert all(row.pk not in page for row in BrowserSession.objects.all())

    assert theirs.post("/account/sessions/", {"session": handle}).status_code == 302
    assert is_signed_in(phone)
    for _ in range(2):  # a double click
        answer = desk.post("/account/sessions/", {"session": handle}, follow=True)
        assert "The session has ended." in answer.content.decode()
    assert [is_signed_in(each) for each in (desk, phone, theirs)] == [True, False, True]
    assert handles_in(account_page(desk)) == []


@pytest.mark.parametrize("pasted", ["sk_" + 64 * "a", "eyJhbGciOiJIUzI1NiJ9.e30.x", PASSWORD])
def test_what_a_browser_sends_is_not_stored_with_its_session(pasted: str) -> None:
    user = UserFactory.create(password=PASSWORD)
    browser_of(user, f"{pasted} Firefox/1 {pasted}")
    row = BrowserSession.objects.get(user=user)
    assert (row.browser, row.system) == ("Firefox", "")
    assert "Firefox" in account_page(browser_of(user, "curl/8"))
    exported = personal_data.export(user)["sessions"]
    assert len(exported) == 2
    assert set(exported[0]) == {
        *("expire_date", "user_id", "browser", "system", "network", "used_at")
    }


@pytest.mark.parametrize(
    ("proxies", "network"), [(0, "10.0.0.1"), (1, "198.51.100.9"), (2, "203.0.113.5")]
)
def test_the_address_of_a_session_is_that_before_the_trusted_proxies(
    settings: Settings, proxies: int, network: str
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    user = UserFactory.create(password=PASSWORD)
    forwarded = {"HTTP_X_FORWARDED_FOR": "1.1.1.1, 203.0.113.5, 198.51.100.9"}
    sign_in(user.email, client=Client(REMOTE_ADDR="10.0.0.1", **forwarded))  # type: ignore[arg-type]
    assert BrowserSession.objects.get(user=user).network == network


def test_the_last_use_is_noted_every_ten_minutes_and_costs_nothing_between() -> None:
    user = UserFactory.create(password=PASSWORD)
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        client = browser_of(user, FIREFOX)
    for minute, noted in ((9, 0), (10, 10), (19, 10), (25, 25)):
        now = start + timedelta(minutes=minute)
        with time_machine.travel(now, tick=False), CaptureQueriesContext(connection) as context:
            assert is_signed_in(client)
        used_at = BrowserSession.objects.get(user=user).used_at
        assert used_at == start + timedelta(minutes=noted)
        writes = [query["sql"] for query in context if query["sql"].startswith("UPDATE")]
        assert len(writes) == (1 if minute == noted else 0)


def test_a_session_opened_with_the_password_before_is_not_listed() -> None:
    user = UserFactory.create(password=PASSWORD)
    browser_of(user, IPHONE)
    user.set_password(OTHER_PASSWORD)
    user.save()
    client = sign_in(user.email, OTHER_PASSWORD)
    assert "Safari" not in account_page(client)
    assert account_page(client).count('<li class="row">') == 1


def test_a_session_ends_with_its_user() -> None:
    user = UserFactory.create(password=PASSWORD)
    client = browser_of(user)
    client.post("/accounts/logout/")
    assert not BrowserSession.objects.filter(user=user).exists()
    browser_of(user)
    personal_data.erase(user)
    assert not BrowserSession.objects.filter(user=user).exists()
