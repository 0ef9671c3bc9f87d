"""Service tokens: who has one and when it was last used. No page shows a hash or a token."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import ServiceToken
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.models import SupportAction
from support.templatetags.support_format import badge


def _state(token: ServiceToken) -> str:
    return "revoked" if token.revoked_at else "active"


@admin.register(ServiceToken)
class ServiceTokenAdmin(SupportModelAdmin[ServiceToken]):
    list_display = ("name", "shown_prefix", "shown_state", "created_at", "last_used_at")
    deferred = ("token_hash",)
    page_template = "support/service_token.html"
    csv_columns: ClassVar[Columns] = (
        ("name", lambda token: token.name),
        ("prefix", lambda token: token.prefix),
        ("state", _state),
        ("created_at", lambda token: token.created_at.isoformat()),
        ("last_used_at", lambda token: token.last_used_at and token.last_used_at.isoformat()),
    )

    @admin.display(description="token")
    def shown_prefix(self, token: ServiceToken) -> str:
        return f"{token.prefix}…"

    @admin.display(description="state")
    def shown_state(self, token: ServiceToken) -> SafeString:
        return badge(_state(token))

    def page_context(self, request: HttpRequest, subject: ServiceToken) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject))
        return {
            "title": f"Service token {subject}",
            "state": _state(subject),
            "actions": actions,
            "buttons": registry.buttons(request, actions, subject),
        }
