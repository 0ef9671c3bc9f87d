"""Orders: their state, key, refunds, disputes and timeline."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.models import CheckoutLink, Order, OrderStatus
from notifications import money
from support import stripe_links, timeline
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import SupportAction
from support.open_work import (
    DISPUTES_TO_ANSWER,
    DUPLICATES_TO_REFUND,
    FRAUD_WARNINGS,
    IN_DISPUTE,
    ORDERS_TO_REVIEW,
)
from support.templatetags.support_format import badge

REVIEW = "needs review"


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    conditions = (
        Choice("completed", "Completed", Q(status=OrderStatus.COMPLETED)),
        Choice("pending", "Pending", Q(status=OrderStatus.PENDING)),
        Choice("failed", "Failed", Q(status=OrderStatus.FAILED)),
        Choice("duplicate", "Duplicates", Q(is_duplicate=True)),
        Choice("to_refund", "Duplicates to refund", DUPLICATES_TO_REFUND),
        Choice("fraud_warning", "Fraud warnings to refund", FRAUD_WARNINGS),
        Choice("needs_review", "Needs review", ORDERS_TO_REVIEW),
        Choice("refunded", "Refunded, also in part", Q(refunded_cents__gt=0)),
        Choice("disputed", "Disputed", ~Q(dispute_status="")),
        Choice("in_dispute", "In an open dispute", IN_DISPUTE),
        Choice("to_answer", "Disputes to answer", DISPUTES_TO_ANSWER),
    )


@admin.register(Order)
class OrderAdmin(SupportModelAdmin[Order]):
    list_display = ("number", "customer", "conversation", "paid", "shown_state", "created_at")
    list_filter = (StateFilter,)
    list_select_related = ("user", "conversation")
    page_template = "support/order.html"
    page_related = ("user", "conversation", "grant")
    page_prefetched = ("refunds", "disputes")
    csv_columns: ClassVar[Columns] = (
        ("order", lambda order: order.pk),
        ("user", lambda order: order.user.email),
        ("conversation", lambda order: order.conversation_id),
        ("session", lambda order: order.stripe_session_id),
        ("payment_intent", lambda order: order.stripe_payment_intent_id),
        ("amount", lambda order: money.plain(order.amount_cents, order.currency)),
        ("currency", lambda order: order.currency),
        ("refunded", lambda order: money.plain(order.refunded_cents, order.currency)),
        ("status", lambda order: order.status),
        ("dispute", lambda order: order.dispute_status),
        ("duplicate", lambda order: "yes" if order.is_duplicate else "no"),
        ("needs_review", lambda order: "yes" if order.needs_review else "no"),
        ("tier", lambda order: order.tier),
        ("created_at", lambda order: order.created_at.isoformat()),
    )

    @admin.display(description="order")
    def number(self, order: Order) -> str:
        return f"Order {order.pk}"

    @admin.display(description="customer")
    def customer(self, order: Order) -> str:
        return str(order.user)

    @admin.display(description="amount")
    def paid(self, order: Order) -> str:
        return money.show(order.amount_cents, order.currency)

    @admin.display(description="state")
    def shown_state(self, order: Order) -> SafeString:
        state = badge(order.state.label)
        return format_html("{} {}", state, badge(REVIEW)) if order.needs_review else state

    def page_context(self, request: HttpRequest, subject: Order) -> dict[str, Any]:
        key = subject.grant.issued_key if subject.grant else None
        actions = _actions(subject)
        return {
            "state": subject.state.label,
            "link": CheckoutLink.objects.filter(
                stripe_session_id=subject.stripe_session_id
            ).first(),
            "key": key,
            "buttons": registry.buttons(request, actions, subject, key, subject.grant),
            "timeline": timeline.of_order(subject, actions),
            "siblings": _siblings(subject),
            "refunds": subject.refunds.all(),
            "disputes": subject.disputes.all(),
            "stripe_name": stripe_links.name(livemode=subject.livemode),
            "payment_url": stripe_links.payment(
                subject.stripe_payment_intent_id, livemode=subject.livemode
            ),
        }


def _actions(order: Order) -> list[SupportAction]:
    """What staff did to the order, its conversation, its grant and the grant's keys."""
    actions = SupportAction.objects.about(order, order.conversation)
    if order.grant:
        on_keys = SupportAction.objects.filter(api_key__grant=order.grant)
        actions |= SupportAction.objects.about(order.grant) | on_keys
    return list(actions)


def _siblings(order: Order) -> list[Order]:
    """The conversation's other orders: the customer may have paid twice."""
    others = Order.objects.filter(conversation=order.conversation).exclude(pk=order.pk)
    return list(others.order_by("-pk")[:20])
