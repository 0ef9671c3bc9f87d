"""The admin site of support: Django's, with a dashboard, a search box and the mode (live, test)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import logout
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.second_factor import has_second_factor, used_second_factor
from accounts.sign_in import SignInView, is_recent
from accounts.views import PasswordChangeView
from support import search
from support.dashboard import cards


class SupportSite(admin.AdminSite):
    index_title = "Support desk"
    site_url = "/"
    # The models that have pages, in the order of the menu.
    model_order: ClassVar[tuple[str, ...]] = (
        "Order",
        "StripeEvent",
        "Conversation",
        "ApiKey",
        "Grant",
        "User",
        "ServiceToken",
        "Notification",
        "Endpoint",
        "CheckoutSettings",
        "SupportAction",
    )

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Leave out the pages of other packages: they write past our services, without a reason."""
        given = (
            model_or_iterable if isinstance(model_or_iterable, Iterable) else [model_or_iterable]
        )
        own = [model for model in given if model.__name__ in self.model_order]
        super().register(own, admin_class, **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        search_view = require_POST(sensitive_post_parameters("q")(self.search_view))
        return [path("search/", self.admin_view(search_view), name="search"), *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Active staff in a recent session, with a second factor where one is required."""
        return super().has_permission(request) and is_recent(request) and not _lacks_factor(request)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Sign in. Staff who have no second factor and need one are sent to set it up."""
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if super().has_permission(request):
            if is_recent(request) and not has_second_factor(cast("User", request.user)):
                return HttpResponseRedirect(reverse("mfa_activate_totp"))
            if request.method == "POST":
                logout(request)  # the session has ended for the admin: another one begins
        context = {
            **self.each_context(request),
            "title": "Sign in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            **({} if "next" in request.GET else {"next": reverse("admin:index")}),
            **(extra_context or {}),
        }
        request.current_app = self.name
        view = SignInView.as_view(
            authentication_form=AdminAuthenticationForm,
            template_name="admin/login.html",
            extra_context=context,
        )
        return cast("HttpResponse", view(request))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        name = f"{settings.SITE_NAME} support"
        named = {"site_header": name, "site_title": name, "is_live": settings.STRIPE_LIVEMODE}
        return {**super().each_context(request), **named}

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """One list in the order of `model_order`, not grouped by app."""
        apps = super().get_app_list(request, app_label)
        if app_label or not apps:
            return apps
        models = [model for app in apps for model in app["models"]]
        models.sort(key=lambda model: self.model_order.index(model["object_name"]))
        return [{**apps[0], "name": "Desk", "app_url": reverse("admin:index"), "models": models}]

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Django's page, with a form whose wrong old passwords count as failed sign-ins."""
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            success_url=reverse("admin:password_change_done"),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return cast("TemplateResponse", view(request))

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        context = {
            **self.each_context(request),
            "title": self.index_title,
            **cards.context(request),
        }
        return TemplateResponse(request, "support/dashboard.html", context | (extra_context or {}))

    @sensitive_variables("text")
    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Accepts POST only: the text may be a key, and URLs are stored and logged."""
        text = request.POST.get("q", "")
        found = search.find(text[:1000])
        rows = [row for row in found.rows if self._may_view(request, row)]
        if len(rows) == 1:
            return HttpResponseRedirect(self._page_of(rows[0]), status=303)
        context = {
            **self.each_context(request),
            "title": "Search",
            "found": found,
            "rows": [(row._meta.verbose_name, row, self._page_of(row)) for row in rows],
        }
        return TemplateResponse(request, "support/search.html", context)

    def _may_view(self, request: HttpRequest, row: Model) -> bool:
        return self.get_model_admin(type(row)).has_view_permission(request)

    def _page_of(self, row: Model) -> str:
        opts = row._meta
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])


def _lacks_factor(request: HttpRequest) -> bool:
    if settings.STAFF_SECOND_FACTOR != "required":
        return False
    return not (used_second_factor(request) and has_second_factor(cast("User", request.user)))
