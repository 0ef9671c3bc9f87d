"""The access log: one line for each request, with its route, status and duration.

The same figures are counted for `/metrics`.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.admindocs.views import simplify_regex
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apikeys.throttling import address_of
from payflow import metrics

logger = logging.getLogger(__name__)

# A path with one of these would forge a line, or control the terminal that shows it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OPTIONAL = re.compile(r"(\(\?P<\w+>[^()]*\)|/)\?")

# Where the name of a request's service token is kept: in `META`, which DRF's request shares.
SERVICE = "payflow.service"

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def access_log(get_response: GetResponse) -> GetResponse:
    """Log each request: the path without its query, which may contain a session id."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = get_response(request)
        seconds, route = time.perf_counter() - started, route_of(request)
        metrics.count_request(request.method, route, response.status_code, seconds)
        if logger.isEnabledFor(logging.INFO):
            _log(request, route, response.status_code, seconds)
        return response

    return middleware


def route_of(request: HttpRequest) -> str:
    """The pattern of the request's URL: one of a bounded set, without anybody's ids."""
    if request.resolver_match is not None:
        return _readable(request.resolver_match.route)
    return settings.STATIC_URL if request.path_info.startswith(settings.STATIC_URL) else "-"


@functools.cache
def _readable(pattern: str) -> str:
    """`/api/orders/<pk>` for the pattern of a route; optional parts are left out."""
    return simplify_regex(_OPTIONAL.sub("", pattern))


def _log(request: HttpRequest, route: str, status: int, seconds: float) -> None:
    fields = {
        "client": address_of(request),
        "method": request.method or "-",
        "path": _escaped(request.path_info),
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    line = "%(client)s %(method)s %(path)s %(status)d %(duration_ms).1f ms %(route)s"
    if SERVICE in request.META:
        fields["service"] = request.META[SERVICE]
        line += " by %(service)s"
    logger.info(
        line,
        fields,
        extra={"fields": fields},
    )


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
