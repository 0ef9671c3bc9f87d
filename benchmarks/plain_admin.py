"""The routes of the admin benchmark: the site's own, and plain ModelAdmins on the same tables."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from apikeys.models import ApiKey
from billing.models import Order, StripeEvent
from payflow.urls import urlpatterns as own

plain = admin.AdminSite(name="plain")


@admin.register(Order, site=plain)
class PlainOrderAdmin(admin.ModelAdmin[Order]):
    """The usual ModelAdmin: columns, filters, search, date hierarchy."""

    list_display = ("id", "user", "conversation", "amount_cents", "currency", "status")
    list_filter = ("status", "is_duplicate")
    search_fields = ("stripe_session_id", "user__email")
    date_hierarchy = "created_at"
    list_per_page = 50


@admin.register(StripeEvent, site=plain)
class PlainEventAdmin(admin.ModelAdmin[StripeEvent]):
    list_display = ("event_id", "type", "status", "outcome", "attempts", "created_at")
    list_filter = ("status", "type")
    search_fields = ("event_id", "object_id")
    date_hierarchy = "created_at"
    list_per_page = 50


@admin.register(ApiKey, site=plain)
class PlainKeyAdmin(admin.ModelAdmin[ApiKey]):
    list_display = ("key_prefix", "name", "user", "created_at", "last_used_at", "revoked_at")
    list_filter = ("revoked_at",)
    search_fields = ("key_prefix", "user__email")
    date_hierarchy = "created_at"
    list_per_page = 50


urlpatterns = [*own, path("plain/", plain.urls)]
