"""Lists of the API, newest first: `{<name>: [...], next: URL or null}`."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class NewestFirstPagination(CursorPagination):
    """Subclasses say in `list_name` what the items are called."""

    ordering = "-id"
    page_size = 50
    list_name = ""

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
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
