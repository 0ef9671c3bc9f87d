"""A customer's own account: sign-up, confirmation, a new password, address, sessions, deletion."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from notifications.models import Notification
from testing.factories import PASSWORD, UserFactory
from testing.own_account import (
    EMAIL,
    OTHER_PASSWORD,
    ask_for_account,
    delivered,
    is_signed_in,
    link_in,
    reset,
    sign_in,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sign_up")]


def test_who_signs_up_on_a_german_page_gets_german_mails() -> None:
    form = {"email": EMAIL, "password1": PASSWORD}
    Client().post("/accounts/signup/", form, headers={"Accept-Language": "de"})
    (message,) = delivered()
    assert message.subject == "Bestätigen Sie Ihre E-Mail-Adresse"


def test_without_sign_up_there_is_no_such_page(settings: Settings) -> None:
    settings.SIGN_UP = False
    assert Client().get("/accounts/signup/").status_code == 404
    form = {"email": EMAIL, "password1": PASSWORD}
    assert Client().post("/accounts/signup/", form).status_code == 404
    assert not User.objects.exists()


def test_an_account_works_once_its_address_is_confirmed() -> None:
    assert Client().get("/accounts/signup/").status_code == 200
    page = ask_for_account("  NEW@Example.com ")
    assert "have sent you a message" in Client().get(page).content.decode()
    (message,) = delivered()
    assert message.to == [EMAIL]
    assert not is_signed_in(sign_in(EMAIL))
    credentials = {"email": EMAIL, "password": PASSWORD}
    token = Client().post("/api/auth/token", credentials, content_type="application/json")
    assert token.status_code == 401
    link = link_in(message)
    for _ in range(2):  # a scanner of links has no effect
        assert "Is new@example.com your address?" in Client().get(link).content.decode()
    assert not is_signed_in(sign_in(EMAIL))
    assert Client().post(link).headers["Location"] == "/accounts/login/"
    assert is_signed_in(sign_in(EMAIL))
    assert User.objects.get().email == EMAIL
    for again in (Client().get(link), Client().post(link)):
        assert again.status_code == 410
        assert "The address is confirmed" in again.content.decode()


def test_signing_in_unconfirmed_says_so_and_sends_the_link_again() -> None:
    ask_for_account()
    delivered()
    cache.clear()  # three minutes later
    answer = Client().post("/accounts/login/", {"username": EMAIL, "password": PASSWORD})
    assert answer.headers["Location"] == "/accounts/confirm/"
    (message,) = delivered()
    assert "/accounts/confirm/" in link_in(message)


def test_a_link_is_made_when_its_mail_is_sent_and_no_row_holds_it() -> None:
    ask_for_account()
    (stored,) = Notification.objects.all()
    assert stored.data == {"address": EmailAddress.objects.get().pk}
    assert EMAIL not in stored.cause


def test_whether_an_address_has_an_account_is_told_to_its_owner_only() -> None:
    user = UserFactory.create(email="known@example.com", password=PASSWORD)
    known, unknown = (
        Client().post("/accounts/signup/", {"email": email, "password1": OTHER_PASSWORD})
        for email in ("Known@example.com", EMAIL)
    )
    assert (known.status_code, known.headers["Location"]) == (
        unknown.status_code,
        unknown.headers["Location"],
    )
    assert sorted(known.cookies) == sorted(unknown.cookies)
    subjects = {message.to[0]: message.subject for message in delivered()}
    assert subjects[user.email] == "You have an account already"
    user.refresh_from_db()
    assert user.check_password(PASSWORD)

    known, unknown = (
        Client().post("/accounts/password_reset/", {"email": email})
        for email in ("known@example.com", "nobody@example.com")
    )
    assert known.headers["Location"] == unknown.headers["Location"]
    assert [message.to for message in delivered()] == [[user.email]]


def test_someone_made_by_sql_without_a_password_chooses_one() -> None:
    user = UserFactory.create(email="sql@example.com")
    assert not user.has_usable_password()
    reset("SQL@example.com")
    assert is_signed_in(sign_in("sql@example.com", OTHER_PASSWORD))
    assert [message.subject for message in delivered()] == ["Your password was changed"]


def test_a_reset_confirms_the_address_and_ends_what_a_stranger_prepared() -> None:
    ask_for_account(EMAIL, PASSWORD)  # by somebody who does not have the address
    delivered()
    reset(EMAIL)
    assert not is_signed_in(sign_in(EMAIL, PASSWORD))
    assert is_signed_in(sign_in(EMAIL, OTHER_PASSWORD))


@pytest.mark.parametrize("password", ["short", "12345678901", "password", "x" * 129])
def test_the_rule_for_passwords_is_one(password: str) -> None:
    answer = Client().post("/accounts/signup/", {"email": EMAIL, "password1": password})
    assert answer.status_code == 200
    assert not User.objects.exists()
    user = UserFactory.create(password=PASSWORD)
    form = {"old_password": PASSWORD, "new_password1": password, "new_password2": password}
    assert sign_in(user.email).post("/accounts/password_change/", form).status_code == 200
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_changed_password_ends_the_other_sessions() -> None:
    user = UserFactory.create(password=PASSWORD)
    browser, other = sign_in(user.email), sign_in(user.email)
    form = {"old_password": PASSWORD}
    form |= dict.fromkeys(("new_password1", "new_password2"), OTHER_PASSWORD)
    answer = browser.post("/accounts/password_change/", form)
    assert answer.headers["Location"] == "/account/"
    assert is_signed_in(browser)
    assert not is_signed_in(other)
    assert [message.subject for message in delivered()] == ["Your password was changed"]


PAGES = ["", "name/", "address/", "sessions/", "erase/"]


@pytest.mark.parametrize("page", PAGES)
def test_the_account_is_shown_to_nobody_else(page: str) -> None:
    assert Client().get(f"/account/{page}").status_code == 302
    assert Client().post(f"/account/{page}").status_code in (302, 405)


@pytest.mark.parametrize("page", PAGES)
def test_a_get_changes_nothing_and_shows_a_page(page: str) -> None:
    user = UserFactory.create(password=PASSWORD)
    assert sign_in(user.email).get(f"/account/{page}").status_code == 200
    user.refresh_from_db()
    assert user.erased_at is None


def test_a_name_is_changed() -> None:
    user = UserFactory.create(password=PASSWORD)
    sign_in(user.email).post("/account/name/", {"name": "Ada"})
    user.refresh_from_db()
    assert user.name == "Ada"


def test_a_new_address_counts_once_it_is_confirmed_and_the_old_one_is_told() -> None:
    user = UserFactory.create(email="old@example.com", password=PASSWORD)
    browser = sign_in(user.email)
    wrong = browser.post("/account/address/", {"email": EMAIL, "password": "wrong"})
    assert "The password is wrong." in wrong.content.decode()
    page = browser.post("/account/address/", {"email": EMAIL, "password": PASSWORD}, follow=True)
    assert f"{EMAIL} is not confirmed yet" in page.content.decode()
    messages = {message.to[0]: message for message in delivered()}
    assert messages.keys() == {EMAIL, "old@example.com"}
    user.refresh_from_db()
    assert user.email == "old@example.com"
    assert is_signed_in(sign_in("old@example.com"))
    Client().post(link_in(messages[EMAIL]))
    user.refresh_from_db()
    assert user.email == EMAIL
    assert is_signed_in(sign_in(EMAIL))
    assert not is_signed_in(sign_in("old@example.com"))


def test_an_address_of_another_account_is_neither_taken_nor_told() -> None:
    UserFactory.create(email="taken@example.com")
    user = UserFactory.create(password=PASSWORD)
    form = {"email": "Taken@example.com", "password": PASSWORD}
    answer = sign_in(user.email).post("/account/address/", form)
    assert answer.headers["Location"] == "/account/?done=address"
    assert delivered() == []


def test_an_address_that_another_account_got_meanwhile_is_refused() -> None:
    user = UserFactory.create(email="old@example.com", password=PASSWORD)
    sign_in(user.email).post("/account/address/", {"email": EMAIL, "password": PASSWORD})
    message = next(message for message in delivered() if message.to == [EMAIL])
    UserFactory.create(email=EMAIL)
    assert Client().post(link_in(message)).status_code == 409
    user.refresh_from_db()
    assert user.email == "old@example.com"


def test_an_account_is_deleted_after_the_password() -> None:
    user = UserFactory.create(email=EMAIL, password=PASSWORD)
    browser = sign_in(EMAIL)
    assert browser.post("/account/erase/", {"password": "wrong"}).status_code == 400
    user.refresh_from_db()
    assert user.is_active
    page = browser.post("/account/erase/", {"password": PASSWORD})
    assert "Your account is deleted" in page.content.decode()
    user.refresh_from_db()
    assert user.erased_at is not None
    assert EMAIL not in user.email
    assert not is_signed_in(browser)


@pytest.mark.parametrize("page", ["address/", "erase/"])
def test_wrong_passwords_on_the_account_are_failed_sign_ins(page: str) -> None:
    user = UserFactory.create(password=PASSWORD)
    browser = sign_in(user.email)
    form = {"email": EMAIL, "password": "wrong"}
    statuses = [browser.post(f"/account/{page}", form).status_code for _ in range(5)]
    assert statuses[-1] == 429
    assert browser.post(f"/account/{page}", {**form, "password": PASSWORD}).status_code == 429
    answer = Client().post("/accounts/login/", {"username": user.email, "password": PASSWORD})
    assert answer.status_code == 429


def test_mails_are_limited_for_each_address_and_network() -> None:
    UserFactory.create(email=EMAIL)
    for _ in range(5):
        Client().post("/accounts/password_reset/", {"email": EMAIL})
    refused = Client().post("/accounts/password_reset/", {"email": EMAIL})
    assert refused.status_code == 429
    assert len(delivered()) == 5
    statuses = [
        Client().post("/accounts/signup/", {"email": f"{n}@example.com", "password1": PASSWORD})
        for n in range(21)
    ]
    assert statuses[-1].status_code == 429
