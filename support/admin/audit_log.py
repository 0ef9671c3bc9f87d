"""The trail at the desk: read by all roles, written by none."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.models import StripeEvent
from support.admin.base import Columns, DeskAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import Kind, SupportAction
from support.templatetags.desk import badge


class KindFilter(ChoiceFilter):
    title = "action"
    parameter_name = "kind"
    conditions = tuple(Choice(kind.value, kind.label.capitalize(), Q(kind=kind)) for kind in Kind)


def result(action: SupportAction) -> str:
    return {True: "done", False: "refused", None: "unknown"}[action.succeeded]


@admin.register(SupportAction)
class SupportActionAdmin(DeskAdmin[SupportAction]):
    list_display = ("what", "actor", "reason", "customer", "result", "created_at")
    list_filter = (KindFilter,)
    list_select_related = ("actor", "customer")
    page_template = "admin/desk_trail.html"
    page_related = ("actor", "customer", "order", "api_key", "grant")
    csv_columns: ClassVar[Columns] = (
        ("at", lambda action: action.created_at.isoformat()),
        ("action", lambda action: action.kind),
        ("actor", lambda action: action.actor.email),
        ("reason", lambda action: action.reason),
        ("customer", lambda action: action.customer and action.customer.email),
        ("order", lambda action: action.order_id),
        ("event", lambda action: action.event_id),
        ("result", result),
        ("outcome", lambda action: action.outcome),
    )

    @admin.display(description="action")
    def what(self, action: SupportAction) -> str:
        return action.get_kind_display().capitalize()

    @admin.display(description="result")
    def result(self, action: SupportAction) -> SafeString:
        return badge(result(action))

    def page_context(self, request: HttpRequest, subject: SupportAction) -> dict[str, Any]:
        event = StripeEvent.objects.filter(event_id=subject.event_id or None)
        return {"result": result(subject), "event": event.defer("payload").first()}
