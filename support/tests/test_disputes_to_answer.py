"""Disputes and inquiries whose answer is due, in a list, a card and a metric."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from apikeys.models import ApiKey
from billing.models import ImportedPayment, Order
from payflow.tests.test_metrics import TOKEN, scrape
from support.tests.test_actions import confirm
from testing import stripe_events as stripe
from testing.stripe_events import Json

LIST = "/admin/billing/order/?state=to_answer"


@pytest.fixture(autouse=True)
def token(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def report(order: Order, dispute: Json, status: str) -> None:
    kind = "created" if status == dispute["status"] else "updated"
    stripe.deliver(stripe.event(f"charge.dispute.{kind}", {**dispute, "status": status}))


def opened(order: Order, status: str) -> Json:
    dispute = stripe.dispute(order.stripe_payment_intent_id or "", status)
    report(order, dispute, status)
    return dispute


def is_waiting(client: Client) -> bool:
    """Whether list, card and metric have it; they agree."""
    listed = len(client.get(LIST).context["cl"].result_list)
    shown = any(c.label == "Disputes to answer" for c in client.get("/admin/").context["cards"])
    assert listed == int(shown) == scrape()["payflow_disputes_to_answer"]
    return shown


@pytest.mark.parametrize(
    ("due", "later"),
    [
        ("needs_response", "under_review"),
        ("needs_response", "won"),
        ("needs_response", "lost"),
        ("needs_response", "prevented"),
        ("warning_needs_response", "warning_under_review"),
        ("warning_needs_response", "warning_closed"),
        ("appeal_needs_response", "appeal_under_review"),
    ],
)
def test_a_dispute_waits_until_it_is_answered_or_decided(
    support: Client, order: Order, due: str, later: str
) -> None:
    assert not is_waiting(support)
    dispute = opened(order, due)
    assert is_waiting(support)
    report(order, dispute, later)
    assert not is_waiting(support)


@pytest.mark.parametrize("other", ["lost", "won", "under_review"])
def test_another_dispute_hides_none(support: Client, order: Order, other: str) -> None:
    opened(order, "warning_needs_response")
    opened(order, other)
    assert is_waiting(support)


def test_a_refund_answers_an_inquiry_and_no_dispute(support: Client, order: Order) -> None:
    opened(order, "warning_needs_response")
    charge = stripe.refunded_charge(order.stripe_payment_intent_id or "")
    stripe.deliver(stripe.event("charge.refunded", charge))
    assert not is_waiting(support)
    opened(order, "needs_response")
    assert is_waiting(support)


def test_a_mark_ends_it_until_something_else_is_reported(support: Client, order: Order) -> None:
    dispute = opened(order, "warning_needs_response")
    confirm(support, order, "mark_handled")
    assert not is_waiting(support)
    report(order, dispute, "needs_response")
    assert is_waiting(support)
    confirm(support, order, "mark_handled")
    assert not is_waiting(support)


def test_a_dispute_over_an_imported_payment_is_counted(order: Order) -> None:
    grant = ApiKey.objects.get().grant
    ImportedPayment.objects.create(stripe_payment_intent_id="pi_imported", grant=grant)
    dispute = stripe.dispute("pi_imported", "warning_needs_response")
    stripe.deliver(stripe.event("charge.dispute.created", dispute))
    assert scrape()["payflow_disputes_to_answer"] == 1
