"""Orders that need a review: on the dashboard, in the list, on their page, and cleared by staff."""

from __future__ import annotations

import pytest
from django.test import Client

from billing.models import CheckoutLink, Order
from conversations.models import Conversation
from support.models import SupportAction
from support.tests.test_actions import confirm, message_after
from support.tests.test_dashboard import cards
from testing import links, stripe_events

LIST = "/admin/billing/order/?state=needs_review"


@pytest.fixture
def flagged(conversation: Conversation) -> Order:
    """A paid order whose session this server never made."""
    stripe_events.deliver(stripe_events.completed(conversation))
    return Order.objects.get()


def listed(client: Client) -> list[Order]:
    return list(client.get(LIST).context["cl"].result_list)


def test_a_flagged_order_is_counted_listed_and_shown(support: Client, flagged: Order) -> None:
    card = cards(support)["Orders to review"]
    assert (card.value, f"/admin/{card.url}") == ("1", LIST)
    assert listed(support) == [flagged]
    page = support.get(f"/admin/billing/order/{flagged.pk}/").content.decode()
    assert "needs review" in page
    assert "no record of such a session" in page


def test_the_page_shows_what_the_link_asked_for(
    support: Client, conversation: Conversation
) -> None:
    stripe_events.deliver(links.completed(conversation, amount_total=50))
    order = Order.objects.get()
    assert order.needs_review
    page = support.get(f"/admin/billing/order/{order.pk}/").content.decode()
    assert "0.50 USD" in page
    assert "20.00 USD before discounts and tax" in page
    CheckoutLink.objects.update(amount_cents=None)
    page = support.get(f"/admin/billing/order/{order.pk}/").content.decode()
    assert "of an unknown amount" in page


def test_an_order_as_its_link_says_needs_no_review(
    support: Client, conversation: Conversation
) -> None:
    stripe_events.deliver(links.completed(conversation))
    assert cards(support)["Orders to review"].value == "0"
    assert listed(support) == []
    refused = message_after(support, confirm(support, Order.objects.get(), "clear_review"))
    assert "It needs no review." in refused
    assert not SupportAction.objects.done().exists()


@pytest.mark.parametrize("role", ["support", "finance"])
def test_a_cleared_order_leaves_the_list(
    role: str, flagged: Order, request: pytest.FixtureRequest
) -> None:
    client = request.getfixturevalue(role)
    confirm(client, flagged, "clear_review")
    assert listed(client) == []
    assert cards(client)["Orders to review"].value == "0"
    action = SupportAction.objects.get()
    assert action.changes == {"needs_review": ["True", "False"]}
    assert action.order == flagged


def test_the_export_says_which_orders_need_a_review(support: Client, flagged: Order) -> None:
    exported = support.post("/admin/billing/order/export/")
    text = b"".join(exported.streaming_content).decode()  # type: ignore[attr-defined]
    head, row = text.splitlines()[:2]
    assert dict(zip(head.split(","), row.split(","), strict=True))["needs_review"] == "yes"
