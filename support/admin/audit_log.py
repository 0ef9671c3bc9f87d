"""The audit log: every role reads it, nobody edits it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from billing.models import StripeEvent
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import SupportAction
from support.templatetags.support_format import badge


class KindFilter(ChoiceFilter):
    title = "action"
    parameter_name = "kind"
    conditions = tuple(
        Choice(kind, capfirst(label), Q(kind=kind))
        for kind, label in registry.done_labels().items()
    )


@admin.register(SupportAction)
class SupportActionAdmin(SupportModelAdmin[SupportAction]):
    list_display = ("kind_label", "actor", "reason", "customer", "result", "created_at")
    list_filter = (KindFilter,)
    list_select_related = ("actor", "customer")
    page_template = "support/action.html"
    counted_as = ("action", "actions")
    page_related = ("actor", "customer", "order", "api_key", "grant", "checkout")
    csv_columns: ClassVar[Columns] = (
        ("at", lambda action: action.created_at.isoformat()),
        ("action", lambda action: action.kind),
        ("actor", lambda action: action.actor.email),
        ("reason", lambda action: action.reason),
        ("customer", lambda action: action.customer and action.customer.email),
        ("order", lambda action: action.order_id),
        ("event", lambda action: action.event_id),
        ("result", lambda action: action.result),
        ("outcome", lambda action: action.outcome),
    )

    @admin.display(description="action")
    def kind_label(self, action: SupportAction) -> str:
        return capfirst(registry.done_label(action.kind))

    @admin.display(description="result")
    def result(self, action: SupportAction) -> SafeString:
        return badge(action.result)

    def page_context(self, request: HttpRequest, subject: SupportAction) -> dict[str, Any]:
        event = StripeEvent.objects.filter(event_id=subject.event_id or None)
        label = capfirst(registry.done_label(subject.kind))
        return {
            "title": f"{label}, {subject.created_at:%Y-%m-%d %H:%M} UTC",
            "event": event.defer("payload").first(),
        }
