"""Words of the desk: zones of times, plurals, amounts, and where a link to Stripe leads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from billing.models import Order, StripeEvent
from support.tests.conftest import StaffClient, paid
from support.tests.test_actions import confirm
from support.tests.test_pages import pages_of
from testing import stripe_events
from testing.factories import ConversationFactory
from testing.keys import issued_key
from testing.marked_texts import Shown

pytestmark = pytest.mark.django_db

# How each list counts its rows.
COUNTED = {
    "billing/order": ("order", "orders"),
    "billing/stripeevent": ("event", "events"),
    "conversations/conversation": ("conversation", "conversations"),
    "apikeys/apikey": ("API key", "API keys"),
    "apikeys/grant": ("grant", "grants"),
    "support/supportaction": ("action", "actions"),
}
# A column's value before and after, in the audit log.
_ISO = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\+00:00")
_TIME = re.compile(r"\b\d{1,2}:\d{2}\b(?!:\d)(?! UTC)|[ap]\.m\.")


def texts(page: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Shown(page).texts))


def read(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return texts(response.content.decode())


def test_every_time_of_the_desk_says_its_zone(staff: StaffClient, order: Order) -> None:
    root = staff("root")
    confirm(root, issued_key(order), "suspend_key")
    shown = 0
    for path in pages_of(order):
        page = read(root, path)
        assert _TIME.findall(_ISO.sub("", page)) == [], path
        assert "UTC UTC" not in page, path
        shown += page.count(" UTC")
    assert shown > 20


@pytest.mark.parametrize("count", [1, 2])
def test_a_list_counts_its_rows_in_the_right_number(staff: StaffClient, count: int) -> None:
    root = staff("root")
    for _ in range(count):
        order = paid(ConversationFactory.create())
        confirm(root, issued_key(order), "suspend_key")
    for path, (singular, plural) in COUNTED.items():
        word = singular if count == 1 else plural
        assert re.search(rf"\b{count} {word}\b", read(root, f"/admin/{path}/")), path


def test_failures_are_counted_in_the_right_number(support: Client) -> None:
    for expected in ("1 declined card, 1 failed order", "2 declined cards, 2 failed orders"):
        conversation = ConversationFactory.create()
        declined = stripe_events.declined_intent(conversation)
        stripe_events.deliver(stripe_events.event("payment_intent.payment_failed", declined))
        session = stripe_events.session(conversation, payment_status="unpaid")
        failed = stripe_events.event("checkout.session.async_payment_failed", session)
        stripe_events.deliver(failed)
        assert expected in read(support, "/admin/")


def test_what_a_refund_left_is_told_in_the_orders_currency(support: Client, order: Order) -> None:
    refund = stripe_events.refund(order.stripe_payment_intent_id or "", 500)
    stripe_events.deliver(stripe_events.event("refund.created", refund))
    page = read(support, f"/admin/billing/order/{order.pk}/")
    assert "5.00 of 20.00 USD refunded" in page
    assert "2000" not in page
    assert "usd" not in page


def test_a_link_to_stripe_leads_to_the_local_one_where_that_is_asked(
    support: Client, order: Order, settings: Settings
) -> None:
    path = f"/admin/billing/order/{order.pk}/"
    event = f"/admin/billing/stripeevent/{StripeEvent.objects.get().pk}/"
    for page in (path, event):
        assert "in Stripe (test)" in read(support, page)
    settings.STRIPE_API_BASE = "http://127.0.0.1:12111"
    for page in (path, event):
        source = support.get(page).content.decode()
        assert 'href="http://127.0.0.1:12111"' in source
        assert "dashboard.stripe.com" not in source
        assert "in the local Stripe" in texts(source)


def test_templates_leave_the_zone_to_the_date_filter() -> None:
    templates = list(Path(__file__).parents[1].glob("templates/**/*.html"))
    assert templates
    for template in templates:
        text = template.read_text()
        assert " UTC" not in text, template
        assert re.findall(r'date:"[^"T]*H:i[^"T]*"', text) == [], template
