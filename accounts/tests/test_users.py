from __future__ import annotations

import unicodedata

import pytest
from django.db import IntegrityError
from django.test import Client

from accounts.models import User
from testing.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


def signed_in(client: Client, email: str) -> bool:
    form = {"username": email, "password": PASSWORD}
    return client.post("/accounts/login/", form).status_code == 302


def test_an_email_is_unique_in_any_case() -> None:
    User.objects.create(email="Ada@Example.com")
    with pytest.raises(IntegrityError):
        User.objects.create(email="ada@example.COM")


def test_the_manager_stores_lower_case_and_needs_an_email() -> None:
    assert User.objects.create_user(" Ada@Example.com ").email == "ada@example.com"
    with pytest.raises(ValueError, match="email"):
        User.objects.create_user("  ")


def test_a_superuser_may_use_the_admin() -> None:
    user = User.objects.create_superuser("root@example.com", PASSWORD)
    client = Client()
    assert signed_in(client, "ROOT@example.com")
    assert user.is_staff
    for page in ("", "accounts/user/", "accounts/user/add/", f"accounts/user/{user.pk}/change/"):
        assert client.get(f"/admin/{page}").status_code == 200


def test_the_admin_adds_a_user_who_can_sign_in() -> None:
    User.objects.create_superuser("root@example.com", PASSWORD)
    client = Client()
    assert signed_in(client, "root@example.com")
    form = {
        "email": "New@example.com",
        "name": "New",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert client.post("/admin/accounts/user/add/", form).status_code == 302
    assert signed_in(Client(), "new@example.com")


def test_signing_in_leads_home_and_signing_out_back() -> None:
    UserFactory.create(email="ada@example.com", password=PASSWORD)
    client = Client()
    assert client.get("/").headers["Location"] == "/accounts/login/?next=/"
    form = {"username": "Ada@example.com", "password": PASSWORD}
    assert client.post("/accounts/login/", form).headers["Location"] == "/"
    assert client.get("/").status_code == 200
    assert client.post("/accounts/logout/").headers["Location"] == "/accounts/login/"
    assert client.get("/").status_code == 302


def test_a_wrong_password_is_said_without_naming_which_was_wrong() -> None:
    UserFactory.create(email="ada@example.com", password=PASSWORD)
    form = {"username": "ada@example.com", "password": "wrong"}
    response = Client().post("/accounts/login/", form)
    assert response.status_code == 200
    assert "Email or password is wrong." in response.content.decode()


COMPOSED = "ada@bücher.example"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize("spelling", [DECOMPOSED, DECOMPOSED.upper(), f" {COMPOSED} "])
def test_every_spelling_of_an_address_is_one_account(spelling: str) -> None:
    assert User.objects.create_user(spelling).email == COMPOSED
    with pytest.raises(IntegrityError):
        User.objects.create_user(COMPOSED)


def test_a_decomposed_address_signs_in_where_the_composed_one_is_stored() -> None:
    UserFactory.create(email=COMPOSED, password=PASSWORD)
    assert signed_in(Client(), DECOMPOSED)
    assert signed_in(Client(), COMPOSED)


def test_the_admin_stores_one_spelling(admin_client: Client) -> None:
    form = {"email": DECOMPOSED.title(), "name": "Ada", "usable_password": "false"}
    url = "/admin/accounts/user/add/"
    assert admin_client.post(url, form).status_code == 302
    assert User.objects.filter(email=COMPOSED).count() == 1
    again = admin_client.post(url, {**form, "email": COMPOSED.upper()})
    assert "A user with this email address already exists." in again.content.decode()


def test_the_desk_finds_an_address_in_every_spelling(admin_client: Client) -> None:
    user = UserFactory.create(email=COMPOSED)
    for spelling in (DECOMPOSED, COMPOSED.upper()):
        answer = admin_client.post("/admin/search/", {"q": spelling})
        assert answer.headers["Location"] == f"/admin/accounts/user/{user.pk}/change/"


@pytest.mark.postgres
def test_psql_cannot_insert_a_second_spelling() -> None:
    with pytest.raises(IntegrityError, match="users_email_is_nfc"):
        User.objects.create(email=DECOMPOSED)
