"""The dashboard: its cards and its chart."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from billing.models import Order
from conversations.models import Conversation
from support.dashboard import chart
from support.dashboard.cards import Card
from support.models import SupportAction
from support.tests.conftest import paid
from testing import stripe_events
from testing.factories import ConversationFactory


def cards(client: Client) -> dict[str, Card]:
    context = client.get("/admin/").context
    return {card.label: card for card in [*context["sales"], *context["cards"]]}


def recorded(days_ago: int, **facts: object) -> Order:
    order = paid(ConversationFactory.create(), **facts)
    Order.objects.filter(pk=order.pk).update(created_at=timezone.now() - timedelta(days=days_ago))
    return order


def test_a_dashboard_without_data_has_its_cards(support: Client) -> None:
    shown = cards(support)
    assert shown["Revenue, today"].value == "0.00 USD"
    assert shown["Link to payment, 30 days"].value == "none"
    assert shown["Events waiting"].note == "all settled"


def test_sales_are_counted_by_period_and_compared_with_the_previous_one(support: Client) -> None:
    for days_ago in (0, 3, 3, 9, 40):
        recorded(days_ago)
    shown = cards(support)
    assert shown["Revenue, today"].value == "20.00 USD"
    assert shown["Revenue, 7 days"].value == "60.00 USD"
    assert shown["Revenue, 7 days"].note == "+200% vs previous period"
    assert shown["Paid orders, 30 days"].value == "4"
    assert shown["Paid orders, 30 days"].note == "+300% vs previous period"


def test_sums_of_earlier_days_are_kept_for_five_minutes_and_those_of_today_are_not(
    support: Client,
) -> None:
    recorded(3)
    assert cards(support)["Revenue, 7 days"].value == "20.00 USD"
    recorded(3)
    recorded(0)
    assert cards(support)["Revenue, 7 days"].value == "40.00 USD"
    cache.clear()  # as after five minutes
    assert cards(support)["Revenue, 7 days"].value == "60.00 USD"


def test_currencies_are_never_added_up(support: Client) -> None:
    recorded(0, amount_total=5000, currency="jpy")
    recorded(0)
    shown = cards(support)["Revenue, today"]
    assert {shown.value, shown.note.split("also ")[1]} == {"5,000 JPY", "20.00 USD"}


def test_conversion_counts_conversations_that_asked_for_a_link(
    support: Client, conversation: Conversation
) -> None:
    conversation.mark_pending("cs_test_open")
    ConversationFactory.create()
    recorded(0)
    shown = cards(support)["Link to payment, 30 days"]
    assert (shown.value, shown.note) == ("50%", "1 of 2 conversations")


def test_refunds_disputes_and_declined_cards_have_their_cards(
    support: Client, order: Order
) -> None:
    intent = {"payment_intent": order.stripe_payment_intent_id, "currency": "usd"}
    part = {"id": "re_1", "object": "refund", "amount": 500, "status": "succeeded", **intent}
    stripe_events.deliver(stripe_events.event("refund.updated", part))
    dispute = {
        "id": "du_1",
        "object": "dispute",
        "amount": 2000,
        "status": "needs_response",
        "reason": "fraudulent",
        **intent,
    }
    stripe_events.deliver(stripe_events.event("charge.dispute.created", dispute))
    declined = stripe_events.declined_intent(order.conversation)
    stripe_events.deliver(stripe_events.event("payment_intent.payment_failed", declined))
    shown = cards(support)
    assert shown["Refunds, 30 days"].value == "5.00 USD"
    assert shown["Revenue, today"].value == "15.00 USD"
    assert shown["Open disputes"].value == "1"
    assert shown["Failures, 7 days"].note == "1 declined card, 0 failed orders"


def test_a_card_leads_to_the_list_of_what_it_counted(
    support: Client, conversation: Conversation
) -> None:
    paid(conversation)
    due = [paid(conversation) for _ in range(3)]
    refund = stripe_events.refund(due[0].stripe_payment_intent_id or "")
    stripe_events.deliver(stripe_events.event("refund.created", refund))
    SupportAction.objects.create(
        kind="mark_handled",
        actor=conversation.user,
        order=due[-1],
        reason="told by phone",
        succeeded=True,
    )
    card = cards(support)["Duplicates to refund"]
    listed = support.get(f"/admin/{card.url}").context["cl"].result_list
    assert card.value == str(len(listed)) == "1"


def test_the_chart_is_described_in_words_and_in_a_table(support: Client) -> None:
    recorded(0)
    recorded(29)
    page = support.get("/admin/").content.decode()
    assert "Orders of 30 days by outcome: 2 completed, 0 pending" in page
    assert len(re.findall(r'<rect class="bar completed"', page)) == 2
    assert page.count('<th scope="row">') >= 30
    assert "style=" not in page.split("<main")[1]


@pytest.mark.parametrize("highest", [0, 1, 3, 17, 99, 100, 4321])
def test_bars_never_leave_the_chart(highest: int) -> None:
    day = date(2026, 11, 1)
    drawn = chart.draw([day], {day: {"completed": highest, "failed": highest}})
    assert all(bar.y >= chart.TOP - 1 for bar in drawn.bars)
    assert all(bar.y + bar.height <= chart.HEIGHT - chart.BOTTOM + 1 for bar in drawn.bars)
    assert drawn.grid[0].text == "0"
    assert datetime.combine(day, datetime.min.time()).date() == drawn.rows[0][0]
