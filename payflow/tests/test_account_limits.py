"""How fast an account starts links and conversations, and the switch that closes Checkout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import CheckoutSettings, Order
from billing.stripe import client as stripe_client
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running
from support.models import SupportAction
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import ConversationFactory
from testing.keys import revealed_key

pytestmark = [pytest.mark.django_db, pytest.mark.http]

LINK = "/api/payments/link"
LISTED = "/api/conversations"
ApiOf = Callable[[User], APIClient]


@pytest.fixture(scope="module")
def running_stripe() -> Iterator[RunningSandbox]:
    with running(webhook=None) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def local_stripe(running_stripe: RunningSandbox, settings: Settings) -> RunningSandbox:
    settings.STRIPE_API_BASE = running_stripe.url
    return running_stripe


@pytest.fixture(autouse=True)
def limits(in_one_minute: None, settings: Settings) -> None:
    settings.LINKS_PER_MINUTE = settings.CONVERSATIONS_PER_MINUTE = 4


def link(api: APIClient, conversation: Conversation) -> Any:
    return api.post(LINK, {"conversationId": conversation.pk}, format="json")


def start(api: APIClient) -> Any:
    return api.post(LISTED, {"title": "x"}, format="json")


def page_of(user: User) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def another(conversation: Conversation) -> Conversation:
    return ConversationFactory.create(user=conversation.user)


def pay(conversation: Conversation) -> None:
    """Make its user one who has paid."""
    assert stripe.deliver(stripe.completed(conversation)).status_code == 200


def assert_throttled(response: Any) -> None:
    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(("paid", "allowed"), [(False, 2), (True, 4)])
def test_an_account_starts_links_only_so_fast_and_slower_before_it_has_paid(
    conversation: Conversation, api_of: ApiOf, paid: bool, allowed: int
) -> None:
    if paid:
        pay(another(conversation))
    api = api_of(conversation.user)
    statuses = [link(api, conversation).status_code for _ in range(allowed)]
    assert statuses == [200] * allowed
    assert_throttled(link(api, conversation))
    page = page_of(conversation.user).post(reverse("pay", args=[conversation.pk]))
    assert page.status_code == 429
    assert 1 <= int(page.headers["Retry-After"]) <= 60
    stranger = ConversationFactory.create()
    assert link(api_of(stranger.user), stranger).status_code == 200


@pytest.mark.parametrize(("paid", "allowed"), [(False, 2), (True, 4)])
def test_an_account_starts_conversations_only_so_fast(
    conversation: Conversation, api_of: ApiOf, paid: bool, allowed: int
) -> None:
    if paid:
        pay(another(conversation))
    api = api_of(conversation.user)
    assert [start(api).status_code for _ in range(allowed)] == [201] * allowed
    assert_throttled(start(api))
    page = page_of(conversation.user).post("/", {"title": "another"})
    assert page.status_code == 429
    assert "Too many conversations" in page.content.decode()
    assert 1 <= int(page.headers["Retry-After"]) <= 60
    assert start(api_of(ConversationFactory.create().user)).status_code == 201


def test_keys_and_tokens_of_an_account_share_its_limit(
    conversation: Conversation, api_of: ApiOf
) -> None:
    keys = [bearer(revealed_key(conversation.user)[1]) for _ in range(2)]
    assert [start(api).status_code for api in keys] == [201, 201]
    assert_throttled(start(api_of(conversation.user)))


def test_an_account_makes_us_ask_stripe_about_sessions_only_so_often(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(stripe_client, "retrieve_session", asked.append)
    client = page_of(conversation.user)
    pages = [client.get("/payments/success", {"session_id": f"cs_{n}"}) for n in range(5)]
    assert asked == ["cs_0", "cs_1"]
    assert [page.status_code for page in pages] == [404, 404, 200, 200, 200]
    assert "Confirming" in pages[-1].content.decode()


def test_no_limit_is_no_limit(
    conversation: Conversation, api_of: ApiOf, settings: Settings
) -> None:
    settings.LINKS_PER_MINUTE = settings.CONVERSATIONS_PER_MINUTE = 0
    api = api_of(conversation.user)
    assert {start(api).status_code for _ in range(9)} == {201}
    assert {link(api, conversation).status_code for _ in range(5)} == {200}


def test_webhooks_are_never_throttled(conversation: Conversation, settings: Settings) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = settings.FAILED_AUTHENTICATIONS_PER_MINUTE = 1
    event = stripe.completed(conversation)
    assert {stripe.deliver(event).status_code for _ in range(30)} == {200}
    for _ in range(3):  # not even where somebody fails to sign in from the same address
        bearer("sk_" + "0" * 64).get(LISTED)
    assert stripe.deliver(event).status_code == 200


# --- The switch --------------------------------------------------------------------------------

CHECKOUT = "/admin/billing/checkoutsettings/1/"


def act(admin: Client, kind: str, reason: str = "Stolen cards are tried.") -> Any:
    url = f"{CHECKOUT}{kind}/"
    form = admin.get(url).context["form"]
    fields = {name: form[name].value() or "" for name in form.fields}
    return admin.post(url, {**fields, "reason": reason})


def test_staff_close_checkout_to_new_customers_and_to_nobody_else(
    admin_client: Client, conversation: Conversation, api_of: ApiOf, settings: Settings
) -> None:
    settings.LINKS_PER_MINUTE = 0
    customer = ConversationFactory.create()
    pay(another(customer))
    given_out = link(api_of(conversation.user), conversation).json()["sessionId"]
    assert act(admin_client, "close_checkout").status_code == 302
    refused = link(api_of(conversation.user), conversation)
    assert (refused.status_code, refused.json()["code"]) == (403, "checkout_closed")
    page = page_of(conversation.user).post(reverse("pay", args=[conversation.pk]))
    assert page.status_code == 403
    assert "New customers" in page.content.decode()
    assert link(api_of(customer.user), customer).status_code == 200
    # A link that was given out before can still be paid.
    event = stripe.completed(conversation, id=given_out)
    assert stripe.deliver(event).status_code == 200
    assert Order.objects.has_paid(conversation.user_id)
    assert act(admin_client, "open_checkout").status_code == 302
    new = ConversationFactory.create()
    assert link(api_of(new.user), new).status_code == 200


def test_the_switch_is_in_the_audit_log_and_on_the_dashboard(admin_client: Client) -> None:
    assert "closed it to new customers" not in admin_client.get("/admin/").content.decode()
    act(admin_client, "close_checkout")
    action = SupportAction.objects.get()
    assert (action.kind, action.succeeded, action.checkout_id) == ("close_checkout", True, 1)
    assert action.reason == "Stolen cards are tried."
    assert list(action.changes) == ["closed_to_new_customers_at"]
    assert "closed it to new customers" in admin_client.get("/admin/").content.decode()
    assert "Stolen cards" in admin_client.get(CHECKOUT).content.decode()
    page = admin_client.get(reverse("admin:support_supportaction_change", args=[action.pk]))
    assert "Checkout" in page.content.decode()


def test_the_menu_leads_to_the_one_row_and_no_other_can_be_made(admin_client: Client) -> None:
    listed = admin_client.get("/admin/billing/checkoutsettings/")
    assert listed.headers["Location"] == CHECKOUT
    assert admin_client.get(CHECKOUT).status_code == 200
    assert admin_client.get(CHECKOUT.replace("1", "2")).status_code == 404
    assert CheckoutSettings.objects.count() == 1


def test_closing_twice_is_refused(admin_client: Client) -> None:
    act(admin_client, "close_checkout")
    closed_at = CheckoutSettings.objects.get().closed_to_new_customers_at
    act(admin_client, "close_checkout")
    assert CheckoutSettings.objects.get().closed_to_new_customers_at == closed_at
    assert [action.result for action in SupportAction.objects.order_by("pk")] == ["done", "refused"]
