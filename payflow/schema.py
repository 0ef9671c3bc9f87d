"""The OpenAPI document: what drf-spectacular cannot see by itself.

Every operation may answer with a problem document, so the schema says so once for all of them.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class FieldErrorSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="RFC 6901 pointer into the body.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]  # a field
    requestId = serializers.CharField(required=False)  # noqa: N815 - the API speaks camelCase


class ProblemAutoSchema(AutoSchema):
    def get_response_serializers(self) -> Any:
        found: Any = super().get_response_serializers()
        success = found if isinstance(found, dict) else {self._success_code(): found}
        problem = OpenApiResponse(ProblemSerializer, "A problem document (RFC 9457).")
        return {**success, ("default", "application/problem+json"): problem}

    def _success_code(self) -> str:
        if self.method == "POST" and getattr(self.view, "action", "") == "create":
            return "201"
        return "200"


class JWTScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "accounts.authentication.JWTAuthentication"
    name = "jwt"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "apikeys.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "sk_ and 64 hex digits"}
