"""How staff sign in: the second factor, short sessions, and asking again before large refunds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import second_factor
from accounts.models import User
from billing.models import Order
from billing.stripe import client as stripe_client
from notifications import mail
from notifications.models import Notification
from support import roles
from support.models import SupportAction
from support.tests.conftest import paid
from testing.factories import PASSWORD, ConversationFactory, UserFactory

pytestmark = pytest.mark.django_db

EMAIL = "ada@staff.example.com"
FORM = {"username": EMAIL, "password": PASSWORD}
REAUTHENTICATE = "/accounts/reauthenticate/"


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    """Stopped, so that a code stays right; the codes used before are forgotten."""
    cache.clear()
    with time_machine.travel(timezone.now(), tick=False):
        yield


@pytest.fixture
def ada(db: None) -> User:
    return UserFactory.create(email=EMAIL, password=PASSWORD, is_staff=True, is_superuser=True)


def code_of(secret: str) -> str:
    code: str = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    return code


def set_up(client: Client) -> tuple[str, list[str]]:
    """Add a second factor as a person does; return its secret and the recovery codes."""
    page = client.get("/accounts/2fa/totp/activate/", follow=True)
    assert page.redirect_chain[-1][0].startswith(REAUTHENTICATE)
    form = {"password": PASSWORD, "next": "/accounts/2fa/totp/activate/"}
    page = client.post(REAUTHENTICATE, form, follow=True)
    secret = page.context["form"].secret
    page = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)}, follow=True)
    return secret, page.context["unused_codes"]


def signed_in(form: dict[str, Any] = FORM, page: str = "/admin/login/") -> Client:
    client = Client()
    assert client.post(page, form).status_code == 302
    return client


def test_staff_get_a_mail_about_each_sign_in(ada: User) -> None:
    signed_in()
    row = Notification.objects.get(kind="staff.signed_in")
    message = mail.compose(row)
    assert message is not None
    assert message.to == [EMAIL]
    assert "from 127.0.0.1." in str(message.body)
    call_command("erase_user", EMAIL, stdout=StringIO())
    row.refresh_from_db()
    assert "127.0.0.1" not in str(row.data)
    assert mail.compose(row) is None


def test_a_customer_gets_no_mail_about_a_sign_in(db: None) -> None:
    UserFactory.create(email=EMAIL, password=PASSWORD)
    signed_in(page="/accounts/login/")
    assert not Notification.objects.exists()


@pytest.mark.parametrize("page", ["/admin/login/", "/accounts/login/"])
def test_who_has_a_second_factor_is_asked_for_it(ada: User, page: str) -> None:
    secret, _ = set_up(signed_in())
    client = Client()
    answer = client.post(page, {**FORM, "next": "/admin/"})
    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    assert client.get("/admin/").status_code == 302
    assert client.get("/").status_code == 302
    wrong = client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert "Incorrect code" in wrong.content.decode()
    right = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert right.headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_a_code_is_accepted_once_and_guesses_are_limited(ada: User) -> None:
    secret, _ = set_up(signed_in())
    code = code_of(secret)
    assert signed_in().post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
    assert signed_in().post("/accounts/2fa/authenticate/", {"code": code}).status_code == 200
    for guess in range(8):
        signed_in().post("/accounts/2fa/authenticate/", {"code": f"{guess:06}"})
    late = signed_in().post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert "Too many failed login attempts" in late.content.decode()


def test_a_recovery_code_works_once(ada: User) -> None:
    _, codes = set_up(signed_in())
    assert len(codes) == 10
    for expected in (302, 200):
        answer = signed_in().post("/accounts/2fa/authenticate/", {"code": codes[0]})
        assert answer.status_code == expected


def test_no_token_for_the_password_alone(ada: User) -> None:
    def token() -> Any:
        body = {"email": EMAIL, "password": PASSWORD}
        return Client().post("/api/auth/token", body, content_type="application/json")

    assert token().status_code == 200
    set_up(signed_in())
    answer = token()
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")


def test_secrets_of_second_factors_are_encrypted_and_survive_a_new_secret_key(
    ada: User, settings: Settings
) -> None:
    secret, codes = set_up(signed_in())
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        stored = str(cursor.fetchall())
    assert secret not in stored
    assert not any(code in stored for code in codes)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-of-the-tests-which-protects-nothing"
    answer = signed_in().post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert answer.status_code == 302


@pytest.mark.django_db(transaction=True)
def test_where_it_is_required_staff_set_up_a_second_factor_first(
    ada: User, settings: Settings
) -> None:
    settings.STAFF_SECOND_FACTOR = "required"
    client = signed_in()
    page = client.get("/admin/", follow=True)
    assert [url for url, _ in page.redirect_chain][:2] == [
        "/admin/login/?next=/admin/",
        "/accounts/2fa/totp/activate/",
    ]
    assert client.post("/admin/search/", {"q": EMAIL}).status_code == 302
    secret, _ = set_up(client)
    assert client.get("/admin/").status_code == 200
    other = signed_in()
    assert other.get("/admin/").status_code == 302
    other.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert other.get("/admin/").status_code == 200
    Authenticator.objects.all().delete()
    assert other.get("/admin/").status_code == 302


def test_a_session_from_before_the_second_factor_signs_in_again(
    ada: User, settings: Settings
) -> None:
    before = signed_in()
    secret, _ = set_up(signed_in())
    settings.STAFF_SECOND_FACTOR = "required"
    assert before.get("/admin/").status_code == 302
    assert before.get("/admin/login/?next=/admin/").status_code == 200
    assert before.post("/admin/login/", FORM).headers["Location"] == "/accounts/2fa/authenticate/"
    before.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert before.get("/admin/").status_code == 200


def test_customers_need_no_second_factor(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = "required"
    UserFactory.create(email="customer@example.com", password=PASSWORD)
    form = {"username": "customer@example.com", "password": PASSWORD}
    assert signed_in(form, "/accounts/login/").get("/").status_code == 200


def test_a_lost_second_factor_is_removed_by_the_command(ada: User) -> None:
    set_up(signed_in())
    call_command("remove_second_factor", EMAIL.upper(), stdout=StringIO())
    assert signed_in().get("/admin/").status_code == 200


@pytest.mark.parametrize("page", ["/admin/login/", "/accounts/login/"])
def test_a_session_of_staff_ends_however_busy_it_is(ada: User, page: str) -> None:
    client, start = signed_in(page=page), timezone.now()
    for hours in (3, 7):
        with time_machine.travel(start + timedelta(hours=hours), tick=False):
            assert client.get("/admin/").status_code == 200
    with time_machine.travel(start + timedelta(hours=8, minutes=1), tick=False):
        assert client.get("/admin/").status_code == 302
        assert client.post("/admin/login/", FORM).status_code == 302
        assert client.get("/admin/").status_code == 200


@pytest.fixture
def refunds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The amounts of the refunds that Stripe was asked for."""
    asked: list[int] = []

    def create_refund(payment_intent_id: str, *, amount: int, idempotency_key: str) -> str:
        asked.append(amount)
        return f"re_{len(asked)}"

    monkeypatch.setattr(stripe_client, "create_refund", create_refund)
    return asked


def large_order() -> Order:
    return paid(ConversationFactory.create(), amount_total=20_000)


def refund(client: Client, order: Order, amount: str) -> Any:
    """Fill in the form of an amount that needs nothing, and send it with this one."""
    url = f"/admin/billing/order/{order.pk}/refund/"
    page = client.get(url)
    form = page.context["form"] if page.context else None
    if form is None or "expected_refunded" not in form.fields:
        return page
    hidden = {name: form[name].value() for name in ("token", "expected_refunded")}
    return client.post(url, {**hidden, "reason": "Asked for.", "amount": amount}, follow=True)


def test_a_refund_above_the_limit_asks_for_the_password_again(
    ada: User, refunds: list[int]
) -> None:
    client, order = signed_in(), large_order()
    url = f"/admin/billing/order/{order.pk}/refund/"
    assert client.get(url).headers["Location"] == f"{REAUTHENTICATE}?next={url.replace('/', '%2F')}"
    wrong = client.post(REAUTHENTICATE, {"password": "wrong", "next": url})
    assert wrong.status_code == 200
    assert client.get(url).status_code == 302
    right = client.post(REAUTHENTICATE, {"password": PASSWORD, "next": url})
    assert right.headers["Location"] == url
    refund(client, order, "200.00")
    assert refunds == [20_000]


def test_the_form_of_a_refund_is_sent_once_the_password_is_right(
    ada: User, refunds: list[int], settings: Settings
) -> None:
    client, order = signed_in(), large_order()
    url = f"/admin/billing/order/{order.pk}/refund/"
    settings.REAUTHENTICATE_ABOVE = 20_000
    form = client.get(url).context["form"]
    settings.REAUTHENTICATE_ABOVE = 10_000
    hidden = {name: form[name].value() for name in ("token", "expected_refunded")}
    answer = client.post(url, {**hidden, "reason": "Asked for.", "amount": "150.00"})
    assert answer.headers["Location"].startswith(REAUTHENTICATE)
    assert not SupportAction.objects.exists()
    client.post(REAUTHENTICATE, {"password": PASSWORD, "next": url}, follow=True)
    assert refunds == [15_000]


def test_the_password_is_asked_for_again_after_a_while_and_not_for_small_refunds(
    ada: User, refunds: list[int]
) -> None:
    client, order = signed_in(), large_order()
    url = f"/admin/billing/order/{order.pk}/refund/"
    client.post(REAUTHENTICATE, {"password": PASSWORD, "next": url})
    refund(client, order, "150.00")
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=False):
        refund(client, order, "50.00")  # no more is left than the limit
        assert refunds == [15_000, 5000]
        assert client.get(f"/admin/billing/order/{large_order().pk}/refund/").status_code == 302


def test_wrong_passwords_there_count_as_failed_sign_ins(ada: User) -> None:
    client = signed_in()
    for _ in range(5):
        client.post(REAUTHENTICATE, {"password": "wrong"})
    assert Client().post("/admin/login/", FORM).status_code == 429


def test_the_role_refunds_refunds_up_to_its_limit(refunds: list[int], settings: Settings) -> None:
    settings.REAUTHENTICATE_ABOVE = 10**9
    agent = UserFactory.create(is_staff=True)
    agent.groups.add(roles.create_roles()["refunds"])
    client, order = Client(), large_order()
    client.force_login(agent)
    answer = refund(client, order, "50.01")
    assert "You may refund up to 50.00 USD of an order." in answer.content.decode()
    refund(client, order, "30.00")
    refund(client, order, "20.01")
    assert refunds == [3000]
    refund(client, order, "20.00")
    assert refunds == [3000, 2000]
    assert list(SupportAction.objects.values_list("amount_cents", flat=True)) == [3000, 2000]


def test_who_may_refund_more_is_not_limited(refunds: list[int], settings: Settings) -> None:
    settings.REAUTHENTICATE_ABOVE = 10**9
    agent = UserFactory.create(is_staff=True)
    groups = roles.create_roles()
    agent.groups.add(groups["refunds"], groups["finance"])
    client = Client()
    client.force_login(agent)
    refund(client, large_order(), "200.00")
    assert refunds == [20_000]


def test_second_factors_are_encrypted_anew_under_a_new_secret_key(
    ada: User, settings: Settings
) -> None:
    secret, codes = set_up(signed_in())
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a-new-secret-key" * 4, [old]
    assert [second_factor.reencrypt(), second_factor.reencrypt()] == [2, 0]
    settings.SECRET_KEY_FALLBACKS = []
    for code in (code_of(secret), codes[0]):
        assert signed_in().post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
