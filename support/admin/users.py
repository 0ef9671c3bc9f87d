"""Users: an account with its orders, keys and conversations. Only superusers edit accounts."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import forms as auth_forms
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from apikeys.models import ApiKey
from billing.models import Order, StripeEvent
from billing.stripe.objects import PAYMENT_FAILED
from conversations.models import Conversation
from support.admin.changelist import PAGE_SIZE, Choice, ChoiceFilter, KeysetChangeList
from support.models import SupportAction

MAX_ROWS = 20

# Groups are not edited here: `create_roles` sets what each role may do, and would undo an edit.


class UserCreationForm(auth_forms.AdminUserCreationForm):  # type: ignore[type-arg]  # not at run time
    class Meta:
        model = User
        fields = ("email", "name")
        field_classes: ClassVar = {"email": forms.EmailField}


class AccessFilter(ChoiceFilter):
    title = "access"
    parameter_name = "access"
    conditions = (
        Choice("staff", "Staff", Q(is_staff=True)),
        Choice("inactive", "Deactivated", Q(is_active=False)),
    )


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]  # not at run time
    add_form = UserCreationForm
    change_list_template = "support/list.html"
    ordering = ("-id",)
    list_display = ("email", "name", "is_active", "is_staff", "date_joined")
    list_filter = (AccessFilter,)
    list_per_page = PAGE_SIZE
    list_max_show_all = 0
    sortable_by = ()
    search_fields = ()
    actions = None
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    readonly_fields = ("new_password", "last_login", "date_joined")
    fieldsets = (
        # Not Django's password field, which shows the first characters of the salt and the hash.
        (None, {"fields": ("email", "name", "new_password")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {"fields": ("email", "name", "usable_password", "password1", "password2")},
        ),
    )
    # Django's two-box selector sets inline styles, which our policy forbids.
    filter_horizontal = ()

    @admin.display(description="password")
    def new_password(self, user: User) -> SafeString:
        return format_html('<a href="{}">Set a new one</a>', "../password/")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = forms.CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow only the filter shown: `?password__startswith=…` would reveal a hash."""
        return lookup == AccessFilter.parameter_name

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def get_urls(self) -> list[URLPattern]:
        """Our read-only page takes the URL of Django's form, which moves to `edit/`."""
        page = path(
            "<int:object_id>/change/",
            self.admin_site.admin_view(self.page_view),
            name="accounts_user_change",
        )
        edit = path(
            "<path:object_id>/edit/",
            self.admin_site.admin_view(self.change_view),
            name="accounts_user_edit",
        )
        return [page, edit, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Users", **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Django's form, only for those who may change accounts."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return super().change_view(request, object_id, form_url, extra_context)

    def page_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        account = User.objects.filter(pk=object_id).first()
        if account is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": account.email,
            "opts": self.opts,
            "subject": account,
            "may_edit": self.has_change_permission(request),
            **_related_objects(account),
        }
        return TemplateResponse(request, "support/user.html", context)


def _related_objects(account: User) -> dict[str, Any]:
    """The account's newest orders, keys, conversations, declined payments and staff actions."""
    conversations = list(Conversation.objects.owned_by(account.pk).order_by("-id")[:MAX_ROWS])
    orders = Order.objects.owned_by(account.pk).select_related("conversation")
    keys = ApiKey.objects.owned_by(account.pk).select_related("grant").defer("key_hash")
    failures = StripeEvent.objects.filter(
        conversation_id__in=[conversation.pk for conversation in conversations],
        type=PAYMENT_FAILED,
    )
    actions = SupportAction.objects.filter(customer=account).select_related("actor")
    return {
        "conversations": conversations,
        "orders": orders.order_by("-id")[:MAX_ROWS],
        "keys": keys.order_by("-id")[:MAX_ROWS],
        "failures": failures.defer("payload").order_by("-id")[:MAX_ROWS],
        "actions": actions.order_by("-id")[:MAX_ROWS],
    }
