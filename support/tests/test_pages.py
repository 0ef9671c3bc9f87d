"""Lists and pages: what they show, what they never show, and how many queries they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apikeys.models import ApiKey, Grant
from billing.models import EventStatus, Order, StripeEvent
from conversations.models import Conversation
from support.models import SupportAction
from support.tests.conftest import StaffClient, paid
from testing import stripe_events
from testing.factories import ConversationFactory, UserFactory
from testing.keys import issued_key

LISTS = (
    "billing/order",
    "billing/stripeevent",
    "conversations/conversation",
    "apikeys/apikey",
    "accounts/user",
    "accounts/servicetoken",
    "notifications/notification",
    "notifications/endpoint",
    "support/supportaction",
)
MAX_QUERIES = 12


@pytest.fixture
def queries() -> Callable[[Client, str], int]:
    """How many a GET takes, the session's and the user's among them."""

    def count(client: Client, url: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as context:
            assert client.get(url).status_code == 200, url
        return len(context)

    return count


def act(order: Order, actor_id: int) -> SupportAction:
    return SupportAction.objects.create(
        kind="reconcile",
        actor_id=actor_id,
        customer=order.user,
        order=order,
        api_key=issued_key(order),
        conversation=order.conversation,
        reason="The customer asked.",
        succeeded=True,
    )


def fill(conversation: Conversation, actor_id: int, number: int) -> None:
    """More of everything for one customer: events, orders, keys, conversations, actions."""
    for _ in range(number):
        order = paid(ConversationFactory.create(user=conversation.user))
        act(order, actor_id)
        act(Order.objects.filter(conversation=conversation).first() or order, actor_id)
        stripe_events.deliver(
            stripe_events.event(
                "payment_intent.payment_failed", stripe_events.declined_intent(conversation)
            )
        )


def pages_of(order: Order) -> Iterator[str]:
    event = StripeEvent.objects.order_by("pk").first()
    action = SupportAction.objects.order_by("pk").first()
    assert event
    assert action
    yield reverse("admin:billing_order_change", args=[order.pk])
    yield reverse("admin:billing_stripeevent_change", args=[event.pk])
    yield reverse("admin:conversations_conversation_change", args=[order.conversation_id])
    yield reverse("admin:apikeys_apikey_change", args=[issued_key(order).pk])
    yield reverse("admin:apikeys_grant_change", args=[issued_key(order).grant_id])
    yield reverse("admin:accounts_user_change", args=[order.user_id])
    yield reverse("admin:support_supportaction_change", args=[action.pk])
    yield from (f"/admin/{path}/" for path in LISTS)
    yield "/admin/"


def test_queries_are_few_and_as_many_for_50_rows_as_for_one(
    support: Client, conversation: Conversation, queries: Callable[[Client, str], int]
) -> None:
    actor_id = int(support.session["_auth_user_id"])
    support.get("/admin/")  # a session's first page notes when the session began
    order = paid(conversation)
    fill(conversation, actor_id, 1)
    urls = list(pages_of(order))
    one = {url: queries(support, url) for url in urls}
    fill(conversation, actor_id, 50)
    many = {url: queries(support, url) for url in urls}
    assert one == many
    assert max(many.values()) <= MAX_QUERIES, many
    assert many["/admin/"] <= 8


def test_the_page_of_a_disputed_duplicate_takes_no_more_queries(
    support: Client, order: Order, queries: Callable[[Client, str], int]
) -> None:
    support.get("/admin/")
    second = paid(order.conversation)
    Order.objects.filter(pk=second.pk).update(dispute_status="needs_response", refunded_cents=5)
    urls = [f"/admin/billing/order/{pk}/" for pk in (order.pk, second.pk)]
    assert max(queries(support, url) for url in urls) <= MAX_QUERIES


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_list_is_a_page_too(support: Client, path: str) -> None:
    assert support.get(f"/admin/{path}/").status_code == 200


def test_pages_turn_by_key_from_the_newest_to_the_oldest_and_back(support: Client) -> None:
    user = UserFactory.create()
    made = [Conversation(user=user, title=f"<{number}>") for number in range(120)]
    Conversation.objects.bulk_create(made)

    def titles(query: str) -> list[int]:
        rows = support.get(f"/admin/conversations/conversation/{query}").context["cl"].result_list
        return [int(row.title.strip("<>")) for row in rows]

    def link(query: str, name: str) -> str:
        page = support.get(f"/admin/conversations/conversation/{query}")
        return str(getattr(page.context["cl"], name))

    first = ""
    assert titles(first) == list(range(119, 69, -1))
    second = link(first, "older_url")
    assert titles(second) == list(range(69, 19, -1))
    assert titles(link(second, "newer_url")) == titles(first)
    last = link(second, "older_url")
    assert titles(last) == list(range(19, -1, -1))
    assert link(last, "older_url") == ""
    assert titles(link(first, "oldest_url")) == list(range(49, -1, -1))
    assert link(link(first, "oldest_url"), "older_url") == ""


def test_a_filter_keeps_its_rows_from_page_to_page(support: Client) -> None:
    user = UserFactory.create()
    grant = Grant.objects.create(user=user)
    rows = [
        ApiKey(
            user=user,
            grant=grant,
            key_hash=f"{number:064}",
            key_prefix=f"sk_{number:017}",
            revoked_at=timezone.now() if number % 2 else None,
        )
        for number in range(160)
    ]
    ApiKey.objects.bulk_create(rows)
    page = support.get("/admin/apikeys/apikey/?state=revoked")
    assert "80 API keys" in page.content.decode()
    older = support.get(f"/admin/apikeys/apikey/{page.context['cl'].older_url}")
    assert len(older.context["cl"].result_list) == 30
    assert all(row.revoked_at for row in older.context["cl"].result_list)


@pytest.mark.parametrize("query", ["?older_than=abc", "?newer_than=", "?older_than=9" + "9" * 40])
def test_a_broken_cursor_is_the_first_page(support: Client, order: Order, query: str) -> None:
    page = support.get(f"/admin/billing/order/{query}")
    assert len(page.context["cl"].result_list) == 1


@pytest.mark.parametrize("query", ["?o=1", "?o=-3.2", "?p=99", "?all="])
def test_a_url_cannot_make_a_list_sort_or_count_all_rows(
    support: Client, order: Order, query: str
) -> None:
    with CaptureQueriesContext(connection) as context:
        assert support.get(f"/admin/billing/order/{query}").status_code == 200
    assert all("OFFSET" not in query["sql"] for query in context.captured_queries)
    assert any('ORDER BY "orders"."id" DESC' in q["sql"] for q in context.captured_queries)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (2000, "usd", "20.00 USD"),
        (123456789, "eur", "1,234,567.89 EUR"),
        (2000, "jpy", "2,000 JPY"),
        (1500, "kwd", "1.500 KWD"),
        (500, "isk", "5.00 ISK"),
    ],
)
def test_money_has_its_currencys_decimals(
    support: Client, conversation: Conversation, amount: int, currency: str, shown: str
) -> None:
    order = paid(conversation, amount_total=amount, currency=currency)
    assert shown in support.get(f"/admin/billing/order/{order.pk}/").content.decode()
    assert shown in support.get("/admin/billing/order/").content.decode()


def test_the_order_page_shows_the_whole_payment(support: Client, order: Order) -> None:
    declined = stripe_events.declined_intent(order.conversation)
    stripe_events.deliver(stripe_events.event("payment_intent.payment_failed", declined))
    page = support.get(f"/admin/billing/order/{order.pk}/").content.decode()
    for text in (
        order.user.email,
        order.conversation.title,
        str(issued_key(order)),
        order.stripe_session_id,
        f"https://dashboard.stripe.com/test/payments/{order.stripe_payment_intent_id}",
        "insufficient_funds",
        f"order {order.pk} completed",
    ):
        assert text in page
    assert page.index("checkout.session.completed") < page.index("payment_intent.payment_failed")


def test_links_to_stripe_follow_the_mode_of_the_payment(support: Client, order: Order) -> None:
    Order.objects.update(livemode=True)
    page = support.get(f"/admin/billing/order/{order.pk}/").content.decode()
    assert f"https://dashboard.stripe.com/payments/{order.stripe_payment_intent_id}" in page
    assert "test mode" in page  # the server's own mode


def test_a_payload_is_shown_with_its_secrets_redacted(
    support: Client, conversation: Conversation
) -> None:
    order = paid(
        conversation,
        client_secret="cs_test_1_secret_abcdef",
        after={"note": "call with sk_" + "0123456789abcdef" * 4, "again": "whsec_abcdef12345"},
        url="https://checkout.example.com/c/pay?key=sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    )
    event = StripeEvent.objects.get()
    page = support.get(f"/admin/billing/stripeevent/{event.pk}/").content.decode()
    assert order.stripe_session_id in page
    assert page.count("[redacted]") == 4
    for secret in ("secret_abcdef", "0123456789abcdef", "whsec_abc", "4eC39"):
        assert secret not in page


def test_no_page_shows_a_hash(staff: StaffClient, order: Order) -> None:
    root = staff("root")
    action = act(order, int(root.session["_auth_user_id"]))
    assert action.pk
    key_hash = ApiKey.objects.get().key_hash
    urls = [*pages_of(order), f"/admin/accounts/user/{order.user_id}/edit/"]
    for url in urls:
        page = root.get(url).content.decode()
        assert key_hash not in page
        assert order.user.password not in page


def test_a_waiting_event_is_counted_on_the_dashboard(
    support: Client, conversation: Conversation
) -> None:
    lost = stripe_events.completed(conversation, metadata={"user_id": "1", "conversation_id": "9"})
    stripe_events.deliver(lost)
    assert StripeEvent.objects.get().status == EventStatus.UNMATCHED
    home = support.get("/admin/").content.decode()
    assert "1 unmatched" in home
    waiting = support.get("/admin/billing/stripeevent/?status=waiting").content.decode()
    assert lost["id"] in waiting


@pytest.mark.parametrize("path", LISTS)
def test_a_missing_row_is_a_404(support: Client, path: str) -> None:
    suffix = "change/" if path == "accounts/user" else ""
    assert support.get(f"/admin/{path}/999999/{suffix}").status_code == 404


@pytest.mark.parametrize("path", LISTS[:4])
@pytest.mark.parametrize("route", ["add/", "1/delete/", "1/history/", "1/change/x/"])
def test_no_route_exists_to_write_by_hand(staff: StaffClient, path: str, route: str) -> None:
    assert staff("root").get(f"/admin/{path}/{route}").status_code == 404


def test_a_page_past_the_last_row_leads_back(support: Client, order: Order) -> None:
    page = support.get(f"/admin/billing/order/?older_than={order.pk}").content.decode()
    assert ">Newest</a>" in page
    assert ">Oldest</a>" in page
    assert ">Newest</a>" not in support.get("/admin/billing/order/").content.decode()
