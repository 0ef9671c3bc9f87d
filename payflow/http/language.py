"""The language of pages: the one chosen on a page, else the browser's, if there is a translation.

The API and the admin are in English, whatever a browser asks for.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers

from payflow.http.problems import is_api

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def language(get_response: GetResponse) -> GetResponse:
    """Middleware: speak the visitor's language while a page is made, and no longer.

    Django's LocaleMiddleware leaves it on, for whatever the thread does next.
    """
    admin = reverse("admin:index")
    of_machines = {reverse(name) for name in ("healthz", "readyz", "metrics")}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        is_page = not (is_api(request) or path in of_machines)
        if not is_page or path.startswith((admin, settings.STATIC_URL)):
            return get_response(request)
        chosen = translation.get_language_from_request(request)
        with translation.override(chosen):
            response = get_response(request)
        response.headers.setdefault("Content-Language", chosen)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response

    return middleware
