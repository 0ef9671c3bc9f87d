"""Errors of the API in one shape: RFC 9457 `application/problem+json`.

The body is `{type, title, status, detail, code}`, with `errors: [{pointer, code, detail}]` when
the request's body is at fault (RFC 6901 pointers into it), `errors: [{parameter, code, detail}]`
when its query is, and `requestId` when we are.
"""

from __future__ import annotations

import logging
import math
import sys
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from psycopg.errors import ReadOnlySqlTransaction
from rest_framework import exceptions

from payflow.http import request_id, routes
from restapi.exceptions import InvalidParameters

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds

Words = str | Promise


def is_api(request: HttpRequest) -> bool:
    return routes.is_api(request.path_info)


def problem(
    status: int, code: str, detail: Words, *, headers: dict[str, str] | None = None, **members: Any
) -> HttpResponse:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE, headers=headers)


def refuse(request: HttpRequest, status: int, code: str, detail: Words) -> HttpResponse:
    """A problem document under /api, else a page."""
    return problem(status, code, detail) if is_api(request) else error_page(status, detail=detail)


# What a page says about each status: a title, and what to do.
ERROR_PAGES = {
    400: (_("Bad request"), _("The request cannot be read.")),
    403: (_("Not allowed"), _("You may not see this page.")),
    404: (_("Not found"), _("There is nothing here, or it is not yours.")),
    405: (
        _("Nothing was done"),
        _("This is the address of a button. Go back to its page and press it there."),
    ),
    410: (_("This is over"), _("What was at this address has ended and does not come back.")),
    411: (_("Bad request"), _("The request cannot be read.")),
    413: (_("Too large"), _("What was sent is too large.")),
    429: (_("Too many requests"), _("Wait a minute, then try again.")),
    500: (
        _("Something went wrong on our side"),
        _("It is logged. Please try again; if it goes on, tell support the request id."),
    ),
    503: (
        _("Try again in a moment"),
        _("Something that this page needs does not answer at the moment."),
    ),
}


def error_page(
    status: int, *, title: Words = "", detail: Words = "", back: str = "/"
) -> HttpResponse:
    """A page that says what happened and what to do, with a link to `back`.

    It is made without the request, whose user would be a query: it needs no database.
    """
    default_title, default_detail = ERROR_PAGES[status]
    context = {
        "title": title or default_title,
        "detail": detail or default_detail,
        "back": back,
        "request_id": request_id.current() if status >= 500 else "",
    }
    response = HttpResponse(render_to_string("message.html", context), status=status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def page_before(request: HttpRequest) -> str:
    """The path of our page that the request came from, else of the first page."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}):
        return "/"
    return urlsplit(referrer)._replace(scheme="", netloc="", fragment="").geturl() or "/"


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's `EXCEPTION_HANDLER`."""
    return for_exception(error)


def for_exception(error: Exception) -> HttpResponse:
    """The problem document for any exception; an unexpected one is logged and not shown."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, SuspiciousOperation):
        error = exceptions.ParseError("The request cannot be read.")
    if isinstance(error, exceptions.APIException):
        return _for_api_exception(error)
    if is_database_unavailable(error):
        logger.error("The database is not available", exc_info=error)
        return database_unavailable(is_page=False)
    logger.error("Unhandled %s", type(error).__name__, exc_info=error)
    return internal_error()


def is_database_unavailable(error: BaseException | None) -> bool:
    """Whether it is gone, overloaded or read-only: the request may succeed later."""
    return isinstance(error, (OperationalError, InterfaceError)) or (
        isinstance(error, InternalError) and isinstance(error.__cause__, ReadOnlySqlTransaction)
    )


def database_unavailable(*, is_page: bool) -> HttpResponse:
    detail = "The database does not answer at the moment: try again in a few seconds."
    if is_page:
        return error_page(503)
    response = problem(503, "database_unavailable", detail, requestId=request_id.current())
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def internal_error() -> HttpResponse:
    detail = "Something went wrong on our side. It is logged under this request id."
    return problem(500, "internal_error", detail, requestId=request_id.current())


def _for_api_exception(error: exceptions.APIException) -> HttpResponse:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    if isinstance(error, InvalidParameters):
        rows = _pointers(error.detail, "")
        faults = [{"parameter": row.pop("pointer")[1:], **row} for row in rows]
        detail = "A query parameter is not valid."
        return problem(error.status_code, "invalid_parameter", detail, errors=faults)
    if isinstance(error, exceptions.ValidationError):
        return problem(
            error.status_code,
            "validation_failed",
            "The request is not valid.",
            headers=headers,
            errors=_pointers(error.detail, ""),
        )
    code = str(getattr(error.detail, "code", error.default_code))
    return problem(error.status_code, code, str(error.detail), headers=headers)


def _pointers(detail: Any, path: str) -> list[dict[str, str]]:
    """Flatten DRF's nested error detail into a list of pointers."""
    if isinstance(detail, dict):
        return [
            row
            for name, inner in detail.items()
            for row in _pointers(inner, path if name == "non_field_errors" else f"{path}/{name}")
        ]
    if isinstance(detail, list):
        nested = any(isinstance(inner, (dict, list)) for inner in detail)
        return [
            row
            for index, inner in enumerate(detail)
            for row in _pointers(inner, f"{path}/{index}" if nested else path)
        ]
    return [{"pointer": path, "code": getattr(detail, "code", "invalid"), "detail": str(detail)}]


# --- Django's error handlers -------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(400, "bad_request", "The request cannot be read.")
    return error_page(400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(403, "permission_denied", "You may not do this.")
    return error_page(403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    if is_api(request):
        return forbidden(request, PermissionDenied(reason))
    if reason == REASON_NO_CSRF_COOKIE:
        title = _("Your browser sent no cookie")
        detail = _("Nothing was changed. Allow cookies for this site, then load the page again.")
    else:
        title = _("This page was out of date")
        detail = _(
            "Nothing was changed. You have signed in or out since the page was loaded, perhaps in "
            "another tab. Go back to it and try again."
        )
    return error_page(403, title=title, detail=detail, back=page_before(request))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(404, "not_found", "There is nothing here.")
    return error_page(404)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_database_unavailable(sys.exc_info()[1]):  # Django logs it
        return database_unavailable(is_page=not is_api(request))
    if is_api(request):
        return internal_error()
    return error_page(500)
