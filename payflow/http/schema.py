"""Additions to the OpenAPI document that drf-spectacular can't derive."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular import openapi
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from payflow.http.pagination import NewestFirstPagination, list_name

_TEXT = {"type": "string"}
_FIELD_ERROR = {
    "type": "object",
    "required": ["pointer", "code", "detail"],
    "properties": {
        "pointer": {**_TEXT, "description": "RFC 6901 pointer into the body."},
        "code": _TEXT,
        "detail": _TEXT,
    },
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "errors": {"type": "array", "items": _FIELD_ERROR},
        "requestId": {**_TEXT, "description": "Names our own log of a 500."},
    },
}


class AutoSchema(openapi.AutoSchema):
    """Names the items of a paginated list as `NewestFirstPagination` does."""

    def _get_paginator(self) -> Any:
        paginator = super()._get_paginator()  # type: ignore[no-untyped-call]  # not typed
        view: Any = self.view  # a generic view, since it has a paginator
        if isinstance(paginator, NewestFirstPagination):
            paginator.list_name = list_name(view.queryset)
        return paginator


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: add the problem document to every operation."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    schema = {"$ref": "#/components/schemas/Problem"}
    response = {
        "description": "A problem document (RFC 9457).",
        "content": {"application/problem+json": {"schema": schema}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = response
    return result


_VERIFY_HEADERS = {
    "X-User-Id": "The id of the key's user.",
    "X-Key-Id": "The id of the key.",
    "X-Key-Name": "The key's name, percent-encoded.",
    "X-Tier": "The tier of the key, percent-encoded.",
}


def add_verify(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: describe `verify`, which is a plain Django view."""
    headers = {
        name: {"description": text, "schema": _TEXT} for name, text in _VERIFY_HEADERS.items()
    }
    result["paths"][reverse("verify")] = {
        "get": {
            "operationId": "api_keys_verify",
            "description": "For gateways: whether the request's API key is valid, and whose it is.",
            "tags": ["api-keys"],
            "security": [{"apiKey": []}],
            "responses": {"204": {"description": "The key is valid.", "headers": headers}},
        }
    }
    return result


class JWTScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "payflow.http.authentication.JWTAuthentication"
    name = "jwt"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "apikeys.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "sk_ and 64 hex digits"}
