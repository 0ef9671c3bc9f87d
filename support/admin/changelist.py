"""Lists and filters whose cost does not grow with the table.

Lists are sorted by primary key, newest first, and paged by key instead of OFFSET; large counts are
estimates; each filter is served by an index. There is no search field: `support.search` finds
everything, by POST.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, TypeVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest

PAGE_SIZE = 50
MAX_COUNTED = 1000
OLDER_THAN, NEWER_THAN, OLDEST = "older_than", "newer_than", "oldest"
CURSORS = (OLDER_THAN, NEWER_THAN, OLDEST)

M = TypeVar("M", bound=Model)


class Choice(NamedTuple):
    value: str
    label: str
    condition: Q
    is_rare: bool = False  # a few rows, whose index has another order than the list


class ChoiceFilter(admin.SimpleListFilter):
    """A filter of named conditions. Each must be served by an index."""

    conditions: ClassVar[tuple[Choice, ...]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(choice.value, choice.label) for choice in self.conditions]

    @property
    def chosen(self) -> Choice | None:
        return next((choice for choice in self.conditions if choice.value == self.value()), None)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self.chosen.condition) if self.chosen else queryset


class KeysetChangeList(ChangeList):
    """Pages start after a key, so the last page costs as much as the first."""

    newer_url = older_url = ""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in CURSORS}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """Drop the cursor: a link to a filter starts at the first page."""
        kept = [name for name in CURSORS if name not in (new_params or {})]
        return super().get_query_string(new_params, [*(remove or ()), *kept])

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        """Newest first. By the key, PostgreSQL might read the whole table to find rare rows."""
        filters = (spec for spec in self.filter_specs if isinstance(spec, ChoiceFilter))
        if any(spec.chosen.is_rare for spec in filters if spec.chosen):
            return [-F("pk")]
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        rows, more_newer, more_older = self._page()
        self.result_list = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(rows)
        self.paginator = None
        self.count_text = self._count_text()
        if rows and more_newer:
            self.newer_url = self.get_query_string({NEWER_THAN: rows[0].pk})
        if rows and more_older:
            self.older_url = self.get_query_string({OLDER_THAN: rows[-1].pk})
        # A page past the last row is empty and needs these links too.
        at_cursor = any(name in self.params for name in CURSORS)
        self.has_newest_link = bool(self.newer_url) or at_cursor
        self.has_oldest_link = bool(self.older_url) or at_cursor
        self.newest_url = self.get_query_string()
        self.oldest_url = self.get_query_string({OLDEST: 1})

    def _page(self) -> tuple[list[Any], bool, bool]:
        """The rows, and whether there may be newer and older ones."""
        size = self.list_per_page
        older_than, newer_than = (self._cursor(name) for name in (OLDER_THAN, NEWER_THAN))
        if newer_than is not None or OLDEST in self.params:
            rows = self.queryset.reverse()
            if newer_than is not None:
                rows = rows.filter(pk__gt=newer_than)
            found = list(rows[: size + 1])
            return found[:size][::-1], len(found) > size, newer_than is not None
        rows = self.queryset
        if older_than is not None:
            rows = rows.filter(pk__lt=older_than)
        found = list(rows[: size + 1])
        return found[:size], older_than is not None, len(found) > size

    def _cursor(self, name: str) -> int | None:
        value = str(self.params.get(name, ""))
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None

    def _count_text(self) -> str:
        """`37 orders`, `more than 1,000 orders` or `about 1,000,000 orders`, from one query."""
        names = self.opts.verbose_name, self.opts.verbose_name_plural
        singular, plural = getattr(self.model_admin, "counted_as", None) or names
        if not self.has_active_filters:
            estimate = estimated_rows(self.opts.db_table)
            if estimate > MAX_COUNTED:
                return f"about {estimate:,} {plural}"
        count = self.queryset.order_by()[: MAX_COUNTED + 1].count()
        if count > MAX_COUNTED:
            return f"more than {MAX_COUNTED:,} {plural}"
        return f"{count:,} {singular if count == 1 else plural}"


def estimated_rows(table: str) -> int:
    """PostgreSQL's estimate, 0 where there is none (SQLite, a table never analysed)."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        row = cursor.fetchone()
    return max(int(row[0]), 0) if row else 0
