"""The customer's pages without a browser: states, ownership, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from apikeys import services
from apikeys.models import ApiKey
from billing.models import Order
from billing.stripe import client
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.keys import paid_key

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"sk_[0-9a-f]{64}")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def success_page(client: Client, session_id: str) -> str:
    response = client.get("/payments/success", {"session_id": session_id})
    assert response.status_code == 200
    assert not SECRET.search(response.content.decode())
    return response.content.decode()


@pytest.mark.parametrize("path", ["/", "/keys", "/payments/success?session_id=cs_test_1"])
def test_pages_ask_to_sign_in(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/accounts/login/?next=")


def test_home_lists_only_own_conversations_with_their_status(conversation: Conversation) -> None:
    ConversationFactory.create(title="Somebody else's")
    page = signed_in(conversation.user).get("/").content.decode()
    assert conversation.title in page
    assert "not paid" in page
    assert "Somebody else's" not in page


def test_a_conversation_can_be_started_and_its_title_is_escaped(stranger: User) -> None:
    client = signed_in(stranger)
    assert client.post("/", {"title": "<script>alert(1)</script>"}).status_code == 302
    assert Conversation.objects.get().user == stranger
    page = client.get("/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_a_conversation_that_is_started_twice_at_once_is_one(stranger: User) -> None:
    client = signed_in(stranger)
    for title in ("Garden", "Garden", "Roof"):
        assert client.post("/", {"title": title}).headers["Location"] == "/"
    assert sorted(Conversation.objects.values_list("title", flat=True)) == ["Garden", "Roof"]
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        client.post("/", {"title": "Garden"})
    assert Conversation.objects.count() == 3


def test_the_success_page_offers_the_key_and_a_get_never_shows_it(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(event)
    client = signed_in(conversation.user)
    for _ in range(2):
        assert "Reveal key" in success_page(client, event["data"]["object"]["id"])
    assert not ApiKey.objects.get().is_revealed


def test_a_reveal_shows_the_key_in_that_one_answer(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(event)
    key = ApiKey.objects.get()
    client = signed_in(conversation.user)
    shown = client.post(f"/keys/{key.pk}/reveal")
    assert shown.status_code == 200
    assert "no-store" in shown.headers["Cache-Control"]
    assert len(set(SECRET.findall(shown.content.decode()))) == 1
    assert "messages" not in shown.cookies

    again = client.post(f"/keys/{key.pk}/reveal")
    assert again.status_code == 409
    assert not SECRET.search(again.content.decode())
    assert "shown before" in success_page(client, event["data"]["object"]["id"])
    assert not SECRET.search(client.get("/keys").content.decode())


@pytest.mark.parametrize("action", ["reveal", "rotate", "rename", "delete"])
def test_a_get_of_an_actions_address_changes_nothing_and_shows_its_form(
    conversation: Conversation, action: str
) -> None:
    key = paid_key(conversation)
    if action == "rotate":
        services.reveal(user_id=conversation.user_id, key_id=key.pk)
    before = ApiKey.objects.values().get()
    page = signed_in(conversation.user).get(f"/keys/{key.pk}/{action}")
    assert page.status_code == 200
    assert f'action="/keys/{key.pk}/{action}"' in page.content.decode()
    assert conversation.title in page.content.decode()
    assert not SECRET.search(page.content.decode())
    assert ApiKey.objects.values().get() == before


@pytest.mark.parametrize("path", ["/keys/create", "/conversations/{}/pay"])
def test_a_get_of_another_buttons_address_leads_to_the_button(
    conversation: Conversation, path: str
) -> None:
    paid_key(ConversationFactory.create(user=conversation.user))
    page = signed_in(conversation.user).get(path.format(conversation.pk), follow=True)
    assert page.status_code == 200
    assert "Nothing was done yet" in page.content.decode()
    assert f'action="{path.format(conversation.pk)}"' in page.content.decode()
    assert ApiKey.objects.count() == 1


def test_who_signs_in_after_a_lost_session_finds_the_button_again(
    conversation: Conversation,
) -> None:
    key = paid_key(conversation)
    lost = Client().post(f"/keys/{key.pk}/reveal")
    assert lost.headers["Location"] == f"/accounts/login/?next=/keys/{key.pk}/reveal"
    page = signed_in(conversation.user).get(f"/keys/{key.pk}/reveal").content.decode()
    assert "Reveal “" in page
    key.refresh_from_db()
    assert not key.is_revealed


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/accounts/logout/"), ("post", "/keys"), ("post", "/orders")]
)
def test_a_wrong_method_is_a_page_that_leads_back(stranger: User, method: str, path: str) -> None:
    client = signed_in(stranger)
    headers = {"Referer": "http://testserver/keys?undone"}
    response = getattr(client, method)(path, headers=headers)
    assert response.status_code == 405
    assert response.headers["Allow"]
    assert "Nothing was done" in response.content.decode()
    assert 'href="/keys?undone"' in response.content.decode()


@pytest.mark.parametrize(
    ("referrer", "back"),
    [
        ("http://testserver/keys", "/keys"),
        *((bad, "/") for bad in ("https://evil.example/x", "javascript:alert(1)", "//evil", "")),
    ],
)
def test_a_form_out_of_date_says_so_and_leads_back_to_its_page(
    conversation: Conversation, referrer: str, back: str
) -> None:
    key = paid_key(conversation)
    client = Client(enforce_csrf_checks=True)
    client.force_login(conversation.user)
    client.cookies["csrftoken"] = "x" * 32
    page = client.post(f"/keys/{key.pk}/delete", headers={"Referer": referrer} if referrer else {})
    assert page.status_code == 403
    assert "This page was out of date" in page.content.decode()
    assert f'href="{back}"' in page.content.decode()
    without_cookies = Client(enforce_csrf_checks=True).post("/accounts/login/")
    assert "sent no cookie" in without_cookies.content.decode()


def test_forms_need_the_csrf_token(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    key = ApiKey.objects.get()
    client = Client(enforce_csrf_checks=True)
    client.force_login(conversation.user)
    for path in (f"/keys/{key.pk}/reveal", f"/keys/{key.pk}/delete", "/"):
        assert client.post(path).status_code == 403
    response = client.post(f"/api/api-keys/{key.pk}/reveal", content_type="application/json")
    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"
    key.refresh_from_db()
    assert not key.is_revealed


def test_a_deleted_key_leaves_the_page(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    key = ApiKey.objects.get()
    client = signed_in(conversation.user)
    assert f"/keys/{key.pk}/delete" in client.get("/keys").content.decode()
    assert client.post(f"/keys/{key.pk}/delete").headers["Location"] == "/keys"
    page = client.get("/keys").content.decode()
    assert f"/keys/{key.pk}/delete" not in page
    assert "You have no keys now" in page
    assert 'action="/keys/create"' in page


@pytest.mark.parametrize("action", ["reveal", "delete"])
def test_another_users_key_is_not_found(
    conversation: Conversation, stranger: User, action: str
) -> None:
    stripe.deliver(stripe.completed(conversation))
    key = ApiKey.objects.get()
    assert signed_in(stranger).post(f"/keys/{key.pk}/{action}").status_code == 404
    key.refresh_from_db()
    assert (key.revoked_at, key.revealed_at) == (None, None)


def test_another_users_conversation_cannot_be_paid(
    conversation: Conversation, stranger: User
) -> None:
    response = signed_in(stranger).post(f"/conversations/{conversation.pk}/pay")
    assert response.status_code == 404


def test_a_paid_conversation_is_not_charged_again(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    response = signed_in(conversation.user).post(f"/conversations/{conversation.pk}/pay")
    assert response.status_code == 409
    assert "paid already" in response.content.decode()


def test_a_duplicate_payment_is_shown_as_one(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    event = stripe.completed(conversation)
    stripe.deliver(event)
    client = signed_in(conversation.user)
    assert "paid twice" in success_page(client, event["data"]["object"]["id"])


def test_the_cancel_page_needs_no_sign_in() -> None:
    assert "Nothing was paid" in Client().get("/payments/cancel").content.decode()


def test_every_page_carries_the_content_security_policy(conversation: Conversation) -> None:
    client = signed_in(conversation.user)
    for path in ("/", "/keys", "/payments/cancel", "/accounts/login/", "/nothing", "/admin/"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert client.get(path).headers["X-Frame-Options"] == "DENY"


@pytest.mark.http
class TestWithTheLocalStripe:
    @pytest.fixture
    def local(self, settings: Settings) -> Iterator[RunningSandbox]:
        with running(webhook=None) as sandbox:
            settings.STRIPE_API_BASE = sandbox.url
            yield sandbox

    def link(self, conversation: Conversation) -> str:
        client = signed_in(conversation.user)
        response = client.post(f"/conversations/{conversation.pk}/pay")
        assert response.status_code == 302
        conversation.refresh_from_db()
        session_id = str(conversation.stripe_session_id)
        assert session_id in response.headers["Location"]
        return session_id

    def test_the_pay_button_leads_to_the_hosted_page(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        assert local.object(self.link(conversation))["status"] == "open"

    def test_an_open_session_is_not_paid_and_does_not_reload_itself(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        page = success_page(signed_in(conversation.user), self.link(conversation))
        assert "You have not paid yet" in page
        assert f'action="/conversations/{conversation.pk}/pay"' in page
        assert 'http-equiv="refresh"' not in page

    def test_a_payment_whose_webhook_never_came_is_fulfilled_here(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        session_id = self.link(conversation)
        local.pay(session_id)
        assert "Reveal key" in success_page(signed_in(conversation.user), session_id)
        order = Order.objects.get()
        assert (order.status, order.stripe_session_id) == ("completed", session_id)

    def test_a_delayed_payment_is_shown_as_pending(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        local.set_options(delayed_method_delay=60)
        session_id = self.link(conversation)
        local.pay_by_debit(session_id)
        page = success_page(signed_in(conversation.user), session_id)
        assert "on its way" in page
        assert 'http-equiv="refresh"' not in page
        assert Order.objects.get().status == "pending"

    def test_an_expired_session_is_shown_as_expired(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        session_id = self.link(conversation)
        client.expire_session(session_id)
        page = success_page(signed_in(conversation.user), session_id)
        assert "has expired" in page
        assert 'http-equiv="refresh"' not in page

    def test_a_second_payment_is_refused_while_the_first_is_pending(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        local.set_options(delayed_method_delay=60)
        session_id = self.link(conversation)
        local.pay_by_debit(session_id)
        client = signed_in(conversation.user)
        response = client.post(f"/conversations/{conversation.pk}/pay")
        assert response.status_code == 409
        assert "on its way" in response.content.decode()

    def test_another_users_session_is_not_found(
        self, local: RunningSandbox, conversation: Conversation, stranger: User
    ) -> None:
        session_id = self.link(conversation)
        local.pay(session_id)
        client = signed_in(stranger)
        for asked in (session_id, "cs_test_unknown", "", "../../v1/events", "cs_\u00e9"):
            response = client.get("/payments/success", {"session_id": asked})
            assert response.status_code == 404
        assert not Order.objects.exists()


@pytest.mark.http
def test_the_pages_say_that_stripe_does_not_answer(
    conversation: Conversation, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    client = signed_in(conversation.user)
    response = client.post(f"/conversations/{conversation.pk}/pay")
    assert response.status_code == 502
    assert "cannot take payments" in response.content.decode()
    page = success_page(client, "cs_test_1")
    assert "Confirming…" in page
    assert (
        '<meta http-equiv="refresh" content="3;url=/payments/success?session_id=cs_test_1' in page
    )
    for tried, seconds in ((1, 6), (4, 48)):
        path = f"/payments/success?session_id=cs_test_1&tried={tried}"
        assert f'content="{seconds};url=' in client.get(path).content.decode()
    for over in ("5", "-1", "x", "99999999999999999999"):
        last = client.get(f"/payments/success?session_id=cs_test_1&tried={over}")
        assert "takes longer than usual" in last.content.decode()
        assert 'http-equiv="refresh"' not in last.content.decode()
