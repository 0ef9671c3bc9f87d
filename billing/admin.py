"""Orders and events in the admin: to look at, not to edit."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from billing.models import Order, StripeEvent


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Money and evidence are written by payments, never by hand."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "conversation", "amount_cents", "currency", "status", "paid_at")
    list_filter = ("status", "is_duplicate", "livemode")
    list_select_related = ("user", "conversation")
    search_fields = ("=id", "=stripe_session_id", "=stripe_payment_intent_id", "=user__email")


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    list_display = ("event_id", "type", "status", "outcome", "attempts", "created_at")
    list_filter = ("status",)
    search_fields = ("=event_id", "=object_id", "=payment_intent_id")
