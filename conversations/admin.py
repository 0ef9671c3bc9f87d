"""Conversations in the admin: to look at, not to edit."""

from django.contrib import admin
from django.http import HttpRequest

from conversations.models import Conversation


@admin.register(Conversation)
class ConversationAdmin(admin.ModelAdmin[Conversation]):
    list_display = ("id", "title", "user", "payment_status", "created_at")
    list_filter = ("payment_status",)
    list_select_related = ("user",)
    search_fields = ("=id", "=user__email", "=stripe_session_id")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False
