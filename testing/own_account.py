"""What a customer does about an account, and the mail that comes of it."""

from __future__ import annotations

import re

from django.core import mail
from django.test import Client

from notifications.mail import send_due
from testing.factories import PASSWORD

EMAIL = "new@example.com"
OTHER_PASSWORD = "another password of the tests"


def delivered() -> list[mail.EmailMultiAlternatives]:
    """The messages that the worker sends now."""
    before = len(mail.outbox)
    list(send_due())
    return mail.outbox[before:]  # type: ignore[return-value]


def link_in(message: mail.EmailMultiAlternatives) -> str:
    found = re.search(r"http://testserver(/\S+)", str(message.body))
    assert found
    return found[1]


def sign_in(email: str, password: str = PASSWORD, client: Client | None = None) -> Client:
    client = client or Client()
    client.post("/accounts/login/", {"username": email, "password": password})
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def ask_for_account(email: str = EMAIL, password: str = PASSWORD) -> str:
    answer = Client().post("/accounts/signup/", {"email": email, "password1": password})
    assert answer.status_code == 302
    return answer.headers["Location"]


def reset(email: str, password: str = OTHER_PASSWORD) -> None:
    Client().post("/accounts/password_reset/", {"email": email})
    (message,) = delivered()
    browser = Client()
    for _ in range(2):
        page = browser.get(link_in(message), follow=True)
    assert page.status_code == 200
    form = {"password1": password, "password2": password}
    answer = browser.post(page.request["PATH_INFO"], form)
    assert answer.headers["Location"] == "/accounts/password_reset/done/"
    for used in (
        Client().get(link_in(message), follow=True),
        browser.post(page.request["PATH_INFO"], form),
    ):
        assert used.status_code == 410
        assert 'href="/accounts/password_reset/"' in used.content.decode()
        assert "If you have just chosen a password, it counts" in used.content.decode()
