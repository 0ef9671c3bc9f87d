"""The base of all support pages: a list, a page for each row, staff actions, a CSV export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from apikeys.secret_patterns import redact
from support import audit_log
from support.actions import registry, views
from support.admin import export
from support.admin.changelist import PAGE_SIZE, KeysetChangeList
from support.models import EXPORT

M = TypeVar("M", bound=Model)

Columns = Sequence[tuple[str, Callable[[Any], object]]]


class SupportModelAdmin(admin.ModelAdmin[M]):
    """A read-only admin: staff change rows only by staff actions, with a reason."""

    change_list_template = "support/list.html"
    page_template = "support/page.html"
    page_related: ClassVar[tuple[str, ...]] = ()
    page_prefetched: ClassVar[tuple[str, ...]] = ()
    # Columns too large for a list.
    deferred: ClassVar[tuple[str, ...]] = ()
    csv_columns: ClassVar[Columns] = ()
    # One row and several, where the model's names don't say it.
    counted_as: ClassVar[tuple[str, str] | None] = None
    base = None
    list_per_page = PAGE_SIZE
    list_max_show_all = 0
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow only the filters shown: `?key_hash__startswith=…` would reveal a hash."""
        return lookup in {getattr(each, "parameter_name", None) for each in self.list_filter}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        return super().get_queryset(request).defer(*self.deferred)

    def get_urls(self) -> list[URLPattern]:
        """There are no routes to add, delete or edit a row."""
        wrap = self.admin_site.admin_view
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("export/", wrap(require_POST(self.export_view)), name=f"{name}_export"),
            path("<int:object_id>/", wrap(self.change_view), name=f"{name}_change"),
            path("<int:object_id>/<slug:kind>/", wrap(self.action_view), name=f"{name}_action"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        export_url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_export")
        title = str(self.opts.verbose_name_plural)
        context = {
            "title": title[0].upper() + title[1:],
            "export_url": export_url if self.csv_columns else "",
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: Any,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        subject = self.subject(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(subject),
            "opts": self.opts,
            "subject": subject,
            **self.page_context(request, subject),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.page_template, context)

    def page_context(self, request: HttpRequest, subject: M) -> dict[str, Any]:
        return {}

    def subject(self, request: HttpRequest, object_id: Any) -> M:
        """The row of a page or an action. Raises PermissionDenied and Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows: QuerySet[M] = self.model._default_manager.select_related(*self.page_related)
        found = rows.prefetch_related(*self.page_prefetched).filter(pk=object_id).first()
        if found is None:
            raise Http404
        return found

    def action_view(self, request: HttpRequest, object_id: int, kind: str) -> HttpResponse:
        """Show an action's confirmation page (GET) and perform it (POST)."""
        action_class = registry.find(self.model, kind)
        if action_class is None:
            raise Http404
        if not action_class.is_permitted(request.user):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.opts}
        return views.confirm(request, action_class, self.subject(request, object_id), context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The filtered list as CSV. The export is recorded in the audit log."""
        if not (self.csv_columns and self.has_view_permission(request)):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).queryset
        filters = redact(request.GET.urlencode())
        audit_log.record(
            kind=EXPORT,
            actor_id=request.user.pk or 0,
            reason=f"{self.opts.verbose_name_plural} {filters or 'all'}"[:200],
            succeeded=True,
        )
        return export.as_csv(str(self.opts.model_name), self.csv_columns, rows)
