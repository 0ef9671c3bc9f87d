"""Limits of failed sign-ins, for everything that asks Django to check a password.

Pages, the admin, the API and a change of the password ask `authenticate`, so all count alike:
django-axes locks an account out for a network, and `apikeys.throttling` counts the failures of a
network whatever account they name. What a visitor typed or sent is not stored: a password, a key
or a token may have been pasted into any field.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.exceptions import AxesBackendPermissionDenied
from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled

from accounts.models import User
from apikeys import throttling
from apikeys.secret_patterns import redact
from apikeys.throttling import FailureKind
from payflow.http import problems

LOCKED_FOR = int(settings.AXES_COOLOFF_TIME.total_seconds())
LOCKED = format_lazy(
    _("Too many wrong passwords. Try again in {minutes} minutes."), minutes=LOCKED_FOR // 60
)
THROTTLED = _("Too many failed sign-ins from your network. Try again in a minute.")


class Backend(AxesStandaloneBackend):  # type: ignore[misc]  # django-axes has no types
    """The first authentication backend: after too many failures no password is checked."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is not None and throttling.too_many_failures(request, FailureKind.PASSWORD):
            request.axes_throttled = request.axes_locked_out = True  # type: ignore[attr-defined]
            raise AxesBackendPermissionDenied("too many failures from this network")
        super().authenticate(request, **credentials)


class Handler(AxesDatabaseHandler):  # type: ignore[misc]
    """Stores which account, from which network, when and how often; nothing else."""

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any
    ) -> None:
        if request is None:
            return
        if not request.axes_locked_out:
            with suppress(Throttled):  # the next attempt is refused before a password is checked
                throttling.count_failure(request, FailureKind.PASSWORD)
        # Without a query, a form, and headers, which django-axes would store.
        stripped = HttpRequest()
        stripped.__dict__.update(_axes_attributes(request))
        stripped.axes_user_agent = stripped.axes_http_accept = ""  # type: ignore[attr-defined]
        stripped.axes_path_info = redact(request.path_info)[:255]  # type: ignore[attr-defined]
        super().user_login_failed(sender, credentials, stripped, **kwargs)
        request.axes_locked_out = stripped.axes_locked_out  # type: ignore[attr-defined]
        request.axes_credentials = None


def _axes_attributes(request: HttpRequest) -> dict[str, Any]:
    return {name: value for name, value in vars(request).items() if name.startswith("axes_")}


def account(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """What failures are counted under: the address of the account that is meant.

    Of an account that does not exist it is a keyed digest of what was typed.
    """
    given = credentials or {}
    typed = str(given.get("username") or given.get("email") or "")
    known: tuple[str, str] | None = getattr(request, "axes_account", None)
    if known is None or known[0] != typed:
        known = typed, _account(typed)
        request.axes_account = known  # type: ignore[attr-defined]
    return known[1]


def _account(typed: str) -> str:
    try:
        return User.objects.get_by_natural_key(typed).email
    except User.DoesNotExist:
        return salted_hmac("payflow.lockout", User.normalize_username(typed)).hexdigest()


def response(
    request: HttpRequest, original: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """Answer 429 with a problem document under /api, else with the sign-in page."""
    code, detail, seconds = "too_many_failures", LOCKED, LOCKED_FOR
    if getattr(request, "axes_throttled", False):
        code, detail, seconds = "throttled", THROTTLED, int(throttling.rest_of_window()) + 1
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    if problems.is_api(request):
        return problems.problem(429, code, detail, headers=headers)
    answer = render(request, "registration/locked.html", {"detail": detail}, status=429)
    for name, value in headers.items():
        answer.headers[name] = value
    return answer
