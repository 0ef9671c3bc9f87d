"""API keys: their state and grant. No page shows a hash or a key."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apikeys.models import ApiKey
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import SupportAction
from support.templatetags.support_format import badge, key_state


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    conditions = (
        Choice("revoked", "Revoked", Q(revoked_at__isnull=False)),
        Choice("suspended", "Suspended", Q(suspended_at__isnull=False)),
        Choice("unrevealed", "Never revealed", Q(revealed_at__isnull=True)),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(SupportModelAdmin[ApiKey]):
    list_display = ("prefix", "name", "owner", "shown_state", "created_at", "last_used_at")
    list_filter = (StateFilter,)
    list_select_related = ("user", "grant")
    deferred = ("key_hash",)
    page_template = "support/key.html"
    page_related = ("user", "grant")
    csv_columns: ClassVar[Columns] = (
        ("prefix", lambda key: key.key_prefix),
        ("name", lambda key: key.name),
        ("user", lambda key: key.user.email),
        ("state", key_state),
        ("created_at", lambda key: key.created_at.isoformat()),
        ("last_used_at", lambda key: key.last_used_at and key.last_used_at.isoformat()),
    )

    @admin.display(description="key")
    def prefix(self, key: ApiKey) -> str:
        return f"{key.key_prefix}…"

    @admin.display(description="owner")
    def owner(self, key: ApiKey) -> str:
        return str(key.user)

    @admin.display(description="state")
    def shown_state(self, key: ApiKey) -> SafeString:
        return badge(key_state(key))

    def page_context(self, request: HttpRequest, subject: ApiKey) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject, subject.grant))
        return {
            "title": f"Key {subject}",
            "state": key_state(subject),
            "orders": subject.grant.orders.order_by("pk"),
            "actions": actions,
            "buttons": registry.buttons(request, actions, subject, subject.grant),
        }
