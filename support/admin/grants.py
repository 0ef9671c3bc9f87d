"""Grants: their state, orders and keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apikeys.models import Grant
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import SupportAction
from support.templatetags.support_format import badge


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    conditions = (
        Choice("revoked", "Revoked", Q(revoked_at__isnull=False)),
        Choice("suspended", "Suspended", Q(suspended_at__isnull=False)),
        Choice("stopped", "Stopped by staff", Q(stopped_at__isnull=False)),
    )


@admin.register(Grant)
class GrantAdmin(SupportModelAdmin[Grant]):
    list_display = ("number", "owner", "tier", "shown_state", "created_at")
    list_filter = (StateFilter,)
    list_select_related = ("user",)
    page_template = "support/grant.html"
    page_related = ("user",)
    csv_columns: ClassVar[Columns] = (
        ("grant", lambda grant: grant.pk),
        ("user", lambda grant: grant.user.email),
        ("tier", lambda grant: grant.tier),
        ("state", lambda grant: grant.state.label),
        ("created_at", lambda grant: grant.created_at.isoformat()),
    )

    @admin.display(description="grant")
    def number(self, grant: Grant) -> str:
        return str(grant)

    @admin.display(description="owner")
    def owner(self, grant: Grant) -> str:
        return str(grant.user)

    @admin.display(description="state")
    def shown_state(self, grant: Grant) -> SafeString:
        return badge(grant.state.label)

    def page_context(self, request: HttpRequest, subject: Grant) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject))
        return {
            "state": subject.state.label,
            "orders": subject.orders.order_by("-pk")[:20],
            "keys": subject.keys.select_related("grant").defer("key_hash").order_by("-pk")[:50],
            "actions": actions,
            "buttons": registry.buttons(request, actions, subject),
        }
