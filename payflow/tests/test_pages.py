"""The customer's pages without a browser: states, ownership, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from apikeys.models import ApiKey
from billing.models import Order
from billing.stripe import client
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running
from testing import stripe_events as stripe
from testing.factories import ConversationFactory

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
    assert "unpaid" in page
    assert "Somebody else's" not in page


def test_a_conversation_can_be_started_and_its_title_is_escaped(stranger: User) -> None:
    client = signed_in(stranger)
    assert client.post("/", {"title": "<script>alert(1)</script>"}).status_code == 302
    assert Conversation.objects.get().user == stranger
    page = client.get("/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


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


def test_a_get_cannot_reveal_or_delete(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    key = ApiKey.objects.get()
    client = signed_in(conversation.user)
    assert client.get(f"/keys/{key.pk}/reveal").status_code == 405
    assert client.get(f"/keys/{key.pk}/delete").status_code == 405


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
    assert key.key_prefix in client.get("/keys").content.decode()
    assert client.post(f"/keys/{key.pk}/delete").headers["Location"] == "/keys"
    assert key.key_prefix not in client.get("/keys").content.decode()


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

    def test_an_open_session_is_still_confirming(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        page = success_page(signed_in(conversation.user), self.link(conversation))
        assert "Confirming…" in page
        assert 'http-equiv="refresh"' in page

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
    assert "Confirming…" in success_page(client, "cs_test_1")
