"""The switch of Checkout: a page for its one row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from billing.models import CheckoutSettings
from support.actions import registry
from support.admin.base import SupportModelAdmin
from support.models import SupportAction


@admin.register(CheckoutSettings)
class CheckoutSettingsAdmin(SupportModelAdmin[CheckoutSettings]):
    page_template = "support/checkout.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """There is one row: its page."""
        return redirect("admin:billing_checkoutsettings_change", self._current().pk)

    def subject(self, request: HttpRequest, object_id: Any) -> CheckoutSettings:
        self._current()
        return super().subject(request, object_id)

    def page_context(self, request: HttpRequest, subject: CheckoutSettings) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject))
        return {"actions": actions, "buttons": registry.buttons(request, actions, subject)}

    def _current(self) -> CheckoutSettings:
        return CheckoutSettings.objects.current()
