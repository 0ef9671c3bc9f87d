"""What wraps every request: its id, its problem documents, its content security policy.

And the short way of the webhook through all of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from billing.views import webhook
from payflow.http import problems
from payflow.http import request_id as request_ids

logger = logging.getLogger(__name__)

VERIFY = "/api/api-keys/verify"
WEBHOOK = "/api/webhooks/stripe"
GetResponse = Callable[[HttpRequest], HttpResponseBase]


def request_id(get_response: GetResponse) -> GetResponse:
    """Give the request an id and return it as `X-Request-Id`."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        chosen = request_ids.begin(request.headers.get("X-Request-Id", ""))
        response = get_response(request)
        response.headers["X-Request-Id"] = chosen
        return response

    return middleware


class api_problems:  # noqa: N801 - Django's middleware setting reads like a list of functions
    """Answer under /api with problem+json whatever goes wrong, and refuse absurd bodies early."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not problems.is_api(request):
            return self.get_response(request)
        return _refusal(request) or _as_problem(self.get_response(request))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Views outside of DRF raise DRF's exceptions too; they become the same documents here."""
        return problems.for_exception(error) if problems.is_api(request) else None


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Send `SECURE_CSP` (the name and shape of Django 6's setting) with every answer."""
    policy = "; ".join(f"{name} {' '.join(values)}" for name, values in settings.SECURE_CSP.items())

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return middleware


def webhook_fast_path(get_response: GetResponse) -> GetResponse:
    """Answer Stripe here, before what only browsers need: cookies, sessions, messages.

    All that was a seventh of an event's processor time. The route has the same view, for any
    other method and with a slash at its end.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info != WEBHOOK or request.method != "POST":
            return get_response(request)
        try:
            response: HttpResponse = webhook(request)
        except Exception as error:
            response = problems.for_exception(error)
        response.headers["Content-Length"] = str(len(response.content))
        return response

    return middleware


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """What is wrong with a request before any view sees it."""
    try:
        request.get_host()
    except DisallowedHost:  # with DEBUG on, Django would answer with a page of its own
        return problems.problem(400, "bad_host", "This server does not answer to that host name.")
    if _is_forward_auth(request):
        return None
    if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
        return problems.problem(411, "length_required", "Send the body with its Content-Length.")
    if _declared_length(request) > _largest_body():
        return problems.problem(400, "body_too_large", "The body is larger than 1 MiB.")
    return None


def _is_forward_auth(request: HttpRequest) -> bool:
    """Then the headers may tell of a body that stayed with the gateway; verify reads none."""
    return request.path_info == VERIFY or request.path_info.startswith(f"{VERIFY}/")


def _as_problem(response: HttpResponseBase) -> HttpResponseBase:
    """Django's own 405, of plain views, as a problem."""
    if not isinstance(response, HttpResponseNotAllowed):
        return response
    headers = {"Allow": response.headers["Allow"]}
    return problems.problem(
        405, "method_not_allowed", "This route has no such method.", headers=headers
    )


def _declared_length(request: HttpRequest) -> int:
    length = request.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _largest_body() -> int:
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
