"""Lists of the API, newest first: `{<plural of the model>: [...], next: URL or null}`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


def list_name(queryset: QuerySet[Any]) -> str:
    """What the items are called: the plural of the model's name, as in `conversations`."""
    return str(queryset.model._meta.verbose_name_plural)


class NewestFirstPagination(CursorPagination):
    ordering = "-id"
    page_size = 50
    list_name: str

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        self.list_name = list_name(queryset)
        try:
            return super().paginate_queryset(queryset, request, view)
        except ValueError:  # DRF checks a cursor's shape, not that it points at an id
            raise NotFound(self.invalid_cursor_message) from None

    def get_paginated_response(self, data: Any) -> Response:
        return Response({self.list_name: data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties = {
            self.list_name: schema,
            "next": {"type": "string", "format": "uri", "nullable": True},
        }
        return {"type": "object", "required": list(properties), "properties": properties}
