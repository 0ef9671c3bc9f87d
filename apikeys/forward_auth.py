"""`/api/api-keys/verify`: may this request pass? For a gateway, so a plain view.

Any method and any path below are answered too: Envoy asks with the method of the request that it
holds back and with its path appended, and takes only 200 for yes (docs/gateway.md).
"""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from apikeys import throttling
from apikeys.authentication import authenticate_key

# What may stand in a header as it is; the rest of a name is percent-encoded UTF-8.
_PLAIN = " !#$&'()*+,/:;=?@[]^`{|}~"


@csrf_exempt
def verify(request: HttpRequest, below: str | None = None) -> HttpResponse:
    """204 with who it is, 401, or 429; 200 for any path `below` the route, whatever its end.

    Raises DRF's exceptions for 401 and 429.
    """
    try:
        key = authenticate_key(request)
        if key is None:
            raise NotAuthenticated
    except (AuthenticationFailed, NotAuthenticated) as refusal:
        refusal.auth_header = "Bearer"  # type: ignore[union-attr]  # where DRF itself puts it
        raise
    throttling.count_request(key)
    response = HttpResponse(status=204 if below is None else 200)
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-User-Id"] = str(key.user_id)
    response.headers["X-Key-Id"] = str(key.pk)
    response.headers["X-Key-Name"] = quote(key.name, safe=_PLAIN)
    response.headers["X-Tier"] = quote(key.tier, safe=_PLAIN)
    return response
