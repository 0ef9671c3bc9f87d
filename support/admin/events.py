"""Stripe's events: their status, outcome, orders and payload."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.events.handlers import HANDLERS
from billing.models import EventStatus, Order, StripeEvent
from support import stripe_links
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import SupportAction
from support.open_work import UNSETTLED, WAITING_EVENTS
from support.templatetags.support_format import badge

MOST_COMMON_TYPE = "checkout.session.completed"


class StatusFilter(ChoiceFilter):
    """Each condition repeats that of its partial index, or PostgreSQL would not use the index."""

    title = "status"
    parameter_name = "status"
    conditions = (
        Choice("waiting", "Waiting or stuck", WAITING_EVENTS, is_rare=True),
        *(
            Choice(
                status.value, status.label.capitalize(), UNSETTLED & Q(status=status), is_rare=True
            )
            for status in (EventStatus.FAILED, EventStatus.UNMATCHED, EventStatus.RECEIVED)
        ),
        Choice("ignored", "Ignored", Q(status=EventStatus.IGNORED)),
        Choice("processed", "Processed", Q(status=EventStatus.PROCESSED)),
    )


class TypeFilter(ChoiceFilter):
    title = "type"
    parameter_name = "type"
    conditions = tuple(
        Choice(
            kind,
            kind,
            Q(type=kind) if kind == MOST_COMMON_TYPE else ~Q(type=MOST_COMMON_TYPE) & Q(type=kind),
        )
        for kind in HANDLERS
    )


@admin.register(StripeEvent)
class StripeEventAdmin(SupportModelAdmin[StripeEvent]):
    counted_as = ("event", "events")
    list_display = ("event_id", "type", "shown_status", "outcome", "created_at")
    list_filter = (StatusFilter, TypeFilter)
    deferred = ("payload", "last_error")
    page_template = "support/event.html"
    page_related = ("conversation__user",)
    csv_columns: ClassVar[Columns] = (
        ("event", lambda event: event.event_id),
        ("type", lambda event: event.type),
        ("status", lambda event: event.status),
        ("attempts", lambda event: event.attempts),
        ("outcome", lambda event: event.outcome),
        ("object", lambda event: event.object_id),
        ("payment_intent", lambda event: event.payment_intent_id),
        ("conversation", lambda event: event.conversation_id),
        ("received_at", lambda event: event.created_at.isoformat()),
    )

    @admin.display(description="status")
    def shown_status(self, event: StripeEvent) -> SafeString:
        return badge(event.status)

    def page_context(self, request: HttpRequest, subject: StripeEvent) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject))
        return {
            "title": f"Event {subject.event_id}",
            "orders": _orders_of(subject),
            "actions": actions,
            "buttons": registry.buttons(request, actions, subject),
            "stripe_name": stripe_links.name(livemode=subject.livemode),
            "stripe_url": stripe_links.event(subject.event_id, livemode=subject.livemode),
        }


def _orders_of(event: StripeEvent) -> list[Order]:
    about = Q(stripe_session_id=event.object_id)
    if event.payment_intent_id:
        about |= Q(stripe_payment_intent_id=event.payment_intent_id)
    return list(Order.objects.filter(about).order_by("pk")[:20])
