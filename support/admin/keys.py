"""API keys at the desk: their state, never a hash and never a key."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apikeys.models import ApiKey
from support.actions import base, operations
from support.admin.base import Columns, DeskAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.states import key_state
from support.templatetags.desk import badge


class StateFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    conditions = (
        Choice("revoked", "Revoked", Q(revoked_at__isnull=False)),
        Choice("suspended", "Suspended", Q(suspended_at__isnull=False)),
        Choice("unrevealed", "Never revealed", Q(revealed_at__isnull=True)),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(DeskAdmin[ApiKey]):
    list_display = ("prefix", "name", "owner", "shown_state", "created_at", "last_used_at")
    list_filter = (StateFilter,)
    list_select_related = ("user", "grant")
    deferred = ("key_hash",)
    page_template = "admin/desk_key.html"
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
        trail = operations.trail_of(subject, subject.grant)
        return {
            "title": f"Key {subject}",
            "state": key_state(subject),
            "orders": subject.grant.orders.order_by("pk"),
            "trail": trail,
            "buttons": base.buttons(request, trail, subject, subject.grant),
        }
