"""How an operation is read from its view: summary, security, patterns, problem codes."""

from __future__ import annotations

import inspect
from typing import Any

from drf_spectacular import openapi
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers

from restapi.bodies import RequestBody
from restapi.schema import PROBLEMS

# DRF refuses NUL, and text that is blank unless the field allows it.
TEXT = r"^[^\u0000]*$"
TEXT_NOT_BLANK = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"

# Mark of a property whose enum becomes a component, which can't be null itself.
MAY_BE_NULL = "x-may-be-null"

ALWAYS = {
    *("bad_host", "bad_request", "invalid_parameter", "unknown_version", "internal_error"),
    "database_unavailable",
}
OF_AUTHENTICATION = {
    *("authentication_failed", "malformed_authorization", "not_authenticated", "stripe_key"),
    "throttled",
}
OF_A_BODY = {
    *("parse_error", "validation_failed", "unsupported_media_type", "length_required"),
    "body_too_large",
}


class AutoSchema(openapi.AutoSchema):
    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:  # left out of the document
            return None
        operation.setdefault("security", [])
        own = operation.get(PROBLEMS, [])
        operation[PROBLEMS] = sorted({*own, *self._problems(operation)})
        return operation

    def get_summary(self) -> str | None:
        """The first line of the method's docstring."""
        return self._docstring().partition("\n\n")[0].rstrip(".")

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        """The rest of the method's docstring."""
        return self._docstring().partition("\n\n")[2].replace("\n", " ")

    def get_auth(self) -> list[Any]:
        """Without the schemes that a permission refuses."""
        refused = {getattr(each, "refused_scheme", None) for each in self.view.get_permissions()}
        found = super().get_auth()
        return [scheme for scheme in found if scheme and not refused & set(scheme)]

    def _docstring(self) -> str:
        name = getattr(self.view, "action", None) or self.method.lower()
        return inspect.getdoc(getattr(self.view, name)) or ""

    def _problems(self, operation: dict[str, Any]) -> set[str]:
        """The codes that follow from the operation's path, body, permissions and security."""
        found = {*ALWAYS, "throttled"}
        if operation["security"]:
            found |= OF_AUTHENTICATION
        if "requestBody" in operation:
            found |= OF_A_BODY
        if any(each["in"] == "path" for each in operation.get("parameters", ())):
            found.add("not_found")
        if self.method not in ("GET", "HEAD") and {"session": []} in operation["security"]:
            found.add("permission_denied")  # a session without its CSRF token
        codes = {getattr(each, "code", None) for each in self.view.get_permissions()}
        return found | {code for code in codes if code}

    def _map_serializer_field(self, field: Any, *args: Any, **kwargs: Any) -> Any:
        schema = super()._map_serializer_field(field, *args, **kwargs)  # type: ignore[no-untyped-call]
        if isinstance(field, serializers.ChoiceField) and field.allow_null:
            schema[MAY_BE_NULL] = True
        if not isinstance(field.root, RequestBody):
            return schema
        if isinstance(field, serializers.CharField) and "pattern" not in schema:
            schema["pattern"] = TEXT_NOT_BLANK if field.trim_whitespace else TEXT
            schema.setdefault("minLength", 1)
        if "default" in schema:  # openapi-typescript would make the member required
            description = f"{schema.get('description', '')} Default: {schema.pop('default')}."
            schema["description"] = description.strip()
        return schema

    def _resolve_path_parameters(self, variables: Any) -> Any:
        found = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]
        for parameter in found:
            if parameter["schema"].get("type") == "integer":
                parameter["schema"] |= {"format": "int64", "minimum": 1}
                parameter["description"] = "The id, as lists and answers have it."
        return found


def _bearer(form: str, description: str) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": form,
        "description": description,
    }


class JWTScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "payflow.http.authentication.JWTAuthentication"
    name = "jwt"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, Any]:
        return _bearer("JWT", "A JSON Web Token of `POST /api/auth/token`, or of your own backend.")


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "apikeys.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, Any]:
        description = "An API key: `sk_` and 64 hexadecimal digits. Never part of a URL."
        return _bearer("sk_ and 64 hex digits", description)


class ServiceTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "payflow.service.views.ServiceTokenAuthentication"
    name = "serviceToken"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, Any]:
        description = (
            "A token of `manage.py issue_service_token`, for your own backend. It opens "
            "`/api/service/` and nothing else, and nothing else opens that."
        )
        return _bearer("svc_ and 64 hex digits", description)


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"
    priority = 1  # before drf-spectacular's own

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, Any]:
        description = (
            "The cookie of a browser that is signed in to these pages. A request that changes "
            "something also needs the `csrftoken` cookie's value as `X-CSRFToken`."
        )
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": description}
