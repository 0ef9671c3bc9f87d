"""Middleware: request id, problem documents, content security policy, webhook fast path."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import resolve, reverse

from payflow.http import problems
from payflow.http import request_id as request_ids

logger = logging.getLogger(__name__)

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)

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
    """Turn every error under /api into problem+json, and refuse too large bodies early."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.verify_path = reverse("verify")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not problems.is_api(request):
            return self.get_response(request)
        return self._refusal(request) or _as_problem(self.get_response(request))

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        """The problem with a request that no view needs to see."""
        try:
            request.get_host()
        except DisallowedHost:  # with DEBUG on, Django would answer with a page of its own
            return problems.problem(
                400, "bad_host", "This server does not answer to that host name."
            )
        if self._is_forward_auth(request):
            return None
        if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
            return problems.problem(
                411, "length_required", "Send the body with its Content-Length."
            )
        if _declared_length(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return problems.problem(400, "body_too_large", "The body is larger than 1 MiB.")
        idempotency_key = request.headers.get("Idempotency-Key")
        if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            detail = "An Idempotency-Key is 1 to 255 visible ASCII characters."
            return problems.problem(400, "idempotency_key_refused", detail)
        return None

    def _is_forward_auth(self, request: HttpRequest) -> bool:
        """Whether a gateway asks: its headers may describe a body that it did not send along."""
        path = request.path_info
        return path == self.verify_path or path.startswith(f"{self.verify_path}/")

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
    """Answer Stripe's webhook here: the middleware below is for browsers (sessions, cookies).

    That saves a seventh of an event's processor time. Other methods, and the route with a slash
    at its end, reach the same view the ordinary way.
    """
    path = reverse("stripe-webhook")
    match = resolve(path)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info != path or request.method != "POST":
            return get_response(request)
        request.resolver_match = match  # for the access log
        try:
            response: HttpResponse = match.func(request)
        except Exception as error:
            response = problems.for_exception(error)
        response.headers["Content-Length"] = str(len(response.content))
        return response

    return middleware


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
