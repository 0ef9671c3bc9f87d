"""Links of mails that are over, and forms that are sent twice or after signing out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import User
from testing.concurrency import concurrently
from testing.factories import PASSWORD, UserFactory
from testing.own_account import EMAIL, ask_for_account, delivered, link_in, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sign_up")]


def test_a_link_to_confirm_that_is_too_old_says_how_to_get_another() -> None:
    ask_for_account()
    link = link_in(delivered()[0])
    with time_machine.travel(timezone.now() + timedelta(days=4)):
        for answer in (Client().get(link), Client().post(link)):
            assert answer.status_code == 410
            assert "Sign in, and we send you another one." in answer.content.decode()
        cache.clear()  # four days later
        sign_in(EMAIL)
        (message,) = delivered()
        assert Client().get(link_in(message)).status_code == 200


def test_a_link_for_an_address_that_was_given_up_leads_to_the_account() -> None:
    user = UserFactory.create(password=PASSWORD)
    browser = sign_in(user.email)
    links = []
    for email in (EMAIL, "other@example.com"):
        browser.post("/account/address/", {"email": email, "password": PASSWORD})
        links.append(next(link_in(each) for each in delivered() if each.to == [email]))
    given_up = browser.get(links[0])
    assert given_up.status_code == 410
    assert "enter the address once more" in given_up.content.decode()
    assert browser.get(links[1]).status_code == 200


@pytest.mark.parametrize("key", ["MTA", "MTA:1vO:x", "%00", "x" * 3000])
def test_a_link_that_was_cut_is_not_found_and_says_so(key: str) -> None:
    answer = Client().get(f"/accounts/confirm/{key}/")
    assert answer.status_code == 404
    assert "copy it from the message as a whole" in answer.content.decode()


def test_a_link_for_a_new_password_that_is_too_old_says_how_to_get_another() -> None:
    UserFactory.create(email=EMAIL)
    Client().post("/accounts/password_reset/", {"email": EMAIL})
    link = link_in(delivered()[0])
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        answer = Client().get(link, follow=True)
    assert answer.status_code == 410
    assert "older than two hours" in answer.content.decode()


def test_who_sends_the_form_to_sign_up_twice_gets_one_mail() -> None:
    form = {"email": EMAIL, "password1": PASSWORD, "csrfmiddlewaretoken": "a" * 64}
    with time_machine.travel(datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC), tick=False):
        for _ in range(2):
            Client().post("/accounts/signup/", form)
        (message,) = delivered()
    assert message.subject == "Confirm your email address"


def test_a_form_for_a_mail_that_is_sent_twice_sends_one_and_another_form_another() -> None:
    UserFactory.create(email=EMAIL)
    for token, mails in (("a" * 64, 1), ("a" * 64, 0), ("b" * 64, 1)):
        form = {"email": EMAIL, "csrfmiddlewaretoken": token}
        with time_machine.travel(datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC), tick=False):
            Client().post("/accounts/password_reset/", form)
            assert len(delivered()) == mails
    with time_machine.travel(datetime(2026, 11, 26, 12, 1, 1, tzinfo=UTC), tick=False):
        Client().post("/accounts/password_reset/", {**form, "csrfmiddlewaretoken": "a" * 64})
        assert len(delivered()) == 1  # who goes back because nothing came


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_forms_to_sign_up_at_the_same_time_make_one_account() -> None:
    pages = concurrently(*[ask_for_account] * 4)
    assert set(pages) == {"/accounts/confirm/"}
    assert User.objects.count() == EmailAddress.objects.count() == 1
    assert len(delivered()) == 1


@pytest.mark.parametrize(
    "path",
    [
        *(f"/account/{page}/" for page in ("name", "sessions", "erase")),
        "/accounts/password_change/",
    ],
)
def test_a_form_sent_after_signing_out_says_that_it_did_nothing(path: str) -> None:
    answer = Client().post(path, {"name": "Ada"}, follow=True)
    assert answer.status_code == 200
    assert "You are signed out, so the form did nothing." in answer.content.decode()
    assert f'name="next" value="{path}"' in answer.content.decode()
    assert "did nothing" not in Client().get(path, follow=True).content.decode()
