"""One view, without authentication and behind each kind of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils.module_loading import import_string
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.forward_auth import verify
from billing.urls import api_urlpatterns as billing


class Answer(APIView):
    def get(self, request: Request) -> Response:
        return Response({"ok": True})


def behind(*names: str) -> Any:
    """The view behind these authentication classes and nothing else."""
    return Answer.as_view(
        authentication_classes=[import_string(name) for name in names],
        permission_classes=[IsAuthenticated] if names else [],
        throttle_classes=[],
    )


def answer(request: HttpRequest) -> HttpResponse:
    """The answer of `verify`, without a check."""
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    for name in ("X-User-Id", "X-Key-Id", "X-Key-Name", "X-Tier"):
        response.headers[name] = "1"
    return response


urlpatterns = [
    path("api/open", behind()),
    path("api/plain", answer),
    # As the project has it: three authentication classes, its permissions, its throttle.
    path("api/payflow", Answer.as_view()),
    path("api/verify", verify, name="verify"),
    # Middleware looks up the webhook, the probes and the admin by their names.
    *billing,
    path("healthz", answer, name="healthz"),
    path("readyz", answer, name="readyz"),
    path("metrics", answer, name="metrics"),
    path("admin/", include(([path("", answer, name="index")], "admin"))),
    path("api/token", behind("rest_framework.authentication.TokenAuthentication")),
    path("api/knox", behind("knox.auth.TokenAuthentication")),
    path("api/simple", behind("drf_simple_apikey.backends.APIKeyAuthentication")),
    path(
        "api/drf-api-key",
        Answer.as_view(
            authentication_classes=[],
            permission_classes=[import_string("rest_framework_api_key.permissions.HasAPIKey")],
            throttle_classes=[],
        ),
    ),
]
