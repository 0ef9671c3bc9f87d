"""The OpenAPI document: what drf-spectacular cannot see by itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

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


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: any operation may answer with a problem document."""
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


_TOLD = {
    "X-User-Id": "Whose key it is.",
    "X-Key-Id": "Which key it is.",
    "X-Key-Name": "What its owner calls it, percent-encoded.",
    "X-Tier": "What was paid for, percent-encoded.",
}


def add_verify(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: the gateways' view is a plain one, which the generator does not see."""
    told = {name: {"description": text, "schema": _TEXT} for name, text in _TOLD.items()}
    result["paths"]["/api/api-keys/verify"] = {
        "get": {
            "operationId": "api_keys_verify",
            "description": "For gateways: whether the request's key is live, and whose it is.",
            "tags": ["api-keys"],
            "security": [{"apiKey": []}],
            "responses": {"204": {"description": "The key is live.", "headers": told}},
        }
    }
    return result


class JWTScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "payflow.http.authentication.JWTAuthentication"
    name = "jwt"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "apikeys.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "sk_ and 64 hex digits"}
