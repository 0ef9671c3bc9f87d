"""Early fraud warnings: shown at the desk, with a refund one click away."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from apikeys.models import ApiKey
from billing.models import Order, StripeEvent
from conversations.models import Conversation, PaymentStatus
from support.models import SupportAction
from support.tests.test_actions import confirm, message_after
from testing import stripe_events as stripe

LIST = "/admin/billing/order/?state=fraud_warning"


def warn(payment_intent_id: str, **fields: Any) -> None:
    stripe.deliver(stripe.fraud_warning(payment_intent_id, **fields))


def test_a_warning_is_shown_with_a_refund_one_click_away(finance: Client, order: Order) -> None:
    assert b"Fraud warnings" not in finance.get("/admin/").content.split(b"Latest actions")[0]
    warn(order.stripe_payment_intent_id or "")
    assert StripeEvent.objects.get(object_id="issfr_1").status == "processed"
    assert b"billing/order/?state=fraud_warning" in finance.get("/admin/").content
    page = f"/admin/billing/order/{order.pk}/"
    assert page.encode() in finance.get(LIST).content
    shown = finance.get(page).content.decode()
    assert "fraud warning" in shown
    assert f'href="{page}refund/' in shown


def test_a_warning_stops_nothing(order: Order) -> None:
    warn(order.stripe_payment_intent_id or "")
    assert Conversation.objects.get().payment_status == PaymentStatus.PAID
    assert ApiKey.objects.get().state == "active"


def test_a_warning_waits_for_its_order(conversation: Conversation) -> None:
    warn("pi_late")
    assert StripeEvent.objects.get(object_id="issfr_1").status == "unmatched"
    stripe.deliver(stripe.completed(conversation, payment_intent="pi_late"))
    order = Order.objects.get()
    assert order.fraud_warning_at is not None
    assert StripeEvent.objects.get(object_id="issfr_1").status == "processed"


def test_the_first_of_two_warnings_counts_in_any_order(order: Order) -> None:
    for id_, created in (("evt_1", 1_800_000_500), ("evt_2", 1_800_000_000)):
        warn(order.stripe_payment_intent_id or "", id=id_, created=created)
    order.refresh_from_db()
    assert order.fraud_warning_at is not None
    assert order.fraud_warning_at.timestamp() == 1_800_000_000


def test_a_refunded_or_disputed_order_needs_no_refund_any_more(
    finance: Client, order: Order
) -> None:
    payment = order.stripe_payment_intent_id or ""
    warn(payment)
    stripe.deliver(stripe.event("charge.refunded", stripe.refunded_charge(payment)))
    page = f"/admin/billing/order/{order.pk}/"
    assert page.encode() not in finance.get(LIST).content
    assert "fraud warning" in finance.get(page).content.decode()


def test_a_warning_that_needs_no_refund_is_marked_as_handled(finance: Client, order: Order) -> None:
    assert "Nothing to do." in message_after(finance, confirm(finance, order, "mark_handled"))
    warn(order.stripe_payment_intent_id or "")
    confirm(finance, order, "mark_handled")
    page = f"/admin/billing/order/{order.pk}/"
    assert page.encode() not in finance.get(LIST).content
    assert b"Fraud warnings" not in finance.get("/admin/").content.split(b"Latest actions")[0]


def test_a_mark_before_the_warning_does_not_hide_it(finance: Client, order: Order) -> None:
    Order.objects.update(is_duplicate=True)
    confirm(finance, order, "mark_handled")
    SupportAction.objects.update(created_at=timezone.now() - timedelta(days=1))
    warn(order.stripe_payment_intent_id or "", created=int(time.time()) - 60)
    page = f"/admin/billing/order/{order.pk}/"
    assert page.encode() in finance.get(LIST).content
    confirm(finance, order, "mark_handled")
    assert page.encode() not in finance.get(LIST).content


def test_a_support_agent_sees_who_can_refund(support: Client, order: Order) -> None:
    page = f"/admin/billing/order/{order.pk}/"
    shown = support.get(page).content.decode()
    assert "Refund… (finance can do this)" in shown
    assert f'href="{page}refund/' not in shown
    assert support.get(f"{page}refund/").status_code == 403
