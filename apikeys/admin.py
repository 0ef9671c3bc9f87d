"""API keys in the admin: to look at and to revoke. Neither a hash nor a key is shown."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from apikeys import services
from apikeys.models import ApiKey, ApiKeyQuerySet


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    list_display = ("key_prefix", "name", "user", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("^key_prefix", "=user__email")
    exclude = ("key_hash",)
    actions = ("revoke",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("apikeys.change_apikey")

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: ApiKeyQuerySet) -> None:
        chosen = list(queryset.not_revoked().values_list("user_id", "pk"))
        for user_id, key_id in chosen:
            services.revoke(user_id=user_id, key_id=key_id, reason="Revoked by support.")
        self.message_user(request, f"{len(chosen)} keys revoked.")
