"""Response to too many failed sign-ins, which django-axes counts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from payflow.http import problems

SECONDS = int(settings.AXES_COOLOFF_TIME.total_seconds())
DETAIL = f"Too many wrong passwords. Try again in {SECONDS // 60} minutes."


def username(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The name that failures are counted under: the email address in lower case."""
    given = (credentials or {}).get("username") or request.POST.get("username", "")
    return str(given).strip().lower()[:254]


def response(
    request: HttpRequest, original: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """Answer 429 with a problem document under /api, else with the sign-in page."""
    headers = {"Retry-After": str(SECONDS), "Cache-Control": "no-store"}
    if problems.is_api(request):
        return problems.problem(429, "too_many_failures", DETAIL, headers=headers)
    answer = render(request, "registration/locked.html", {"detail": DETAIL}, status=429)
    for name, value in headers.items():
        answer.headers[name] = value
    return answer
