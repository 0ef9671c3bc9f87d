"""The outbox with its mail, and the endpoints that get events. No page shows a stored secret."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_variables

from notifications import endpoints
from notifications.models import UNDELIVERED, Endpoint, MailStatus, Notification
from support import audit_log
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.admin.changelist import Choice, ChoiceFilter
from support.models import ADD_ENDPOINT, SupportAction
from support.templatetags.support_format import badge


class MailFilter(ChoiceFilter):
    title = "mail"
    parameter_name = "mail"
    conditions = (
        Choice("waiting", "Waiting", Q(mail_status=MailStatus.WAITING)),
        Choice("undelivered", "Not delivered", Q(mail_status__in=UNDELIVERED)),
    )


@admin.register(Notification)
class NotificationAdmin(SupportModelAdmin[Notification]):
    list_display = ("id", "kind", "user", "shown_mail", "created_at", "mailed_at")
    list_filter = (MailFilter,)
    list_select_related = ("user",)
    deferred = ("mail_error",)
    page_template = "support/notification.html"
    page_related = ("user",)
    csv_columns: ClassVar[Columns] = (
        ("id", lambda row: row.pk),
        ("kind", lambda row: row.kind),
        ("cause", lambda row: row.cause),
        ("user", lambda row: row.user_id),
        ("conversation", lambda row: row.conversation_id),
        ("mail", lambda row: row.mail_status),
        ("created_at", lambda row: row.created_at.isoformat()),
        ("mailed_at", lambda row: row.mailed_at and row.mailed_at.isoformat()),
    )

    @admin.display(description="mail")
    def shown_mail(self, notification: Notification) -> SafeString:
        return badge(notification.get_mail_status_display())

    def page_context(self, request: HttpRequest, subject: Notification) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject))
        return {
            "title": f"Notification {subject.pk}: {subject.kind}",
            "mail": subject.get_mail_status_display(),
            "deliveries": subject.deliveries.select_related("endpoint").order_by("pk")[:20],
            "actions": actions,
            "buttons": registry.buttons(request, actions, subject),
        }


class EndpointForm(forms.Form):
    url = forms.CharField(label="URL", max_length=endpoints.MAX_URL)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            endpoints.target_of(url)
        except endpoints.RefusedUrl as reason:
            raise ValidationError(str(reason)) from None
        return url


@admin.register(Endpoint)
class EndpointAdmin(SupportModelAdmin[Endpoint]):
    list_display = ("url", "shown_state", "created_at", "failing_since", "disabled_at")
    deferred = ("secret", "previous_secret")
    page_template = "support/endpoint.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.add_endpoint")

    def get_urls(self) -> list[URLPattern]:
        add = self.admin_site.admin_view(self.add_endpoint_view)
        return [path("add/", add, name="notifications_endpoint_add"), *super().get_urls()]

    @sensitive_variables("secret")
    def add_endpoint_view(self, request: HttpRequest) -> HttpResponse:
        """A form for the URL; the answer to it shows the signing secret, the only time."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = EndpointForm(request.POST if request.method == "POST" else None)
        context = {**self.admin_site.each_context(request), "title": "Add webhook endpoint"}
        context |= {"form": form, "opts": self.opts}
        if form.is_valid():
            endpoint, secret = endpoints.add(form.cleaned_data["url"])
            audit_log.record(
                kind=ADD_ENDPOINT,
                actor_id=request.user.pk or 0,
                endpoint_id=endpoint.pk,
                reason=f"endpoint {endpoint.pk}",
                succeeded=True,
            )
            context |= {"endpoint": endpoint, "secret": secret}
        response = TemplateResponse(request, "support/endpoint_add.html", context)
        add_never_cache_headers(response)
        return response

    @admin.display(description="state")
    def shown_state(self, endpoint: Endpoint) -> SafeString:
        return badge(endpoint.state)

    def page_context(self, request: HttpRequest, subject: Endpoint) -> dict[str, Any]:
        actions = list(SupportAction.objects.about(subject))
        waiting = subject.deliveries.waiting()
        return {
            "title": f"Webhook endpoint {subject.pk}",
            "waiting": waiting.count(),
            "last_failure": waiting.exclude(error="").order_by("-due_at").first(),
            "actions": actions,
            "buttons": registry.buttons(request, actions, subject),
        }
