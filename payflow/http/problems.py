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

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from psycopg.errors import ReadOnlySqlTransaction
from rest_framework import exceptions

from payflow.http import request_id, routes
from restapi.exceptions import InvalidParameters

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds


def is_api(request: HttpRequest) -> bool:
    return routes.is_api(request.path_info)


def problem(
    status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
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


def refuse(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """A problem document under /api, else a page."""
    if is_api(request):
        return problem(status, code, detail)
    return page("400.html", status, {"title": HTTPStatus(status).phrase, "detail": detail})


def page(template: str, status: int, context: dict[str, Any] | None = None) -> HttpResponse:
    """An error page. Without the request, whose user would be a query: it needs no database."""
    return HttpResponse(render_to_string(template, context), status=status)


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
        response = page("503.html", 503, {"request_id": request_id.current()})
    else:
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
    return page("400.html", 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(403, "permission_denied", "You may not do this.")
    return page("403.html", 403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return forbidden(request, PermissionDenied(reason))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(404, "not_found", "There is nothing here.")
    return page("404.html", 404)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_database_unavailable(sys.exc_info()[1]):  # raised by a middleware; Django logs it
        return database_unavailable(is_page=not is_api(request))
    if is_api(request):
        return internal_error()
    return page("500.html", 500, {"request_id": request_id.current()})
