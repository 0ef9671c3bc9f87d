"""`/api/api-keys/verify`: authorises requests for a gateway (forward_auth and the like).

Any method and any path below the route work too: Envoy sends the original request's method and
appends its path, and accepts only 200 (docs/gateway.md). A plain view, because DRF would cost
more than the check.
"""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, Throttled

from apikeys import metrics, throttling
from apikeys.authentication import authenticate_key

# Characters that need no percent-encoding in a header value.
_PLAIN = " !#$&'()*+,/:;=?@[]^`{|}~"


@csrf_exempt
def verify(request: HttpRequest, below: str | None = None) -> HttpResponse:
    """204 with the key's user, id, name and tier; 200 instead for a path `below` the route.

    Raises DRF's exceptions for 401 and 429.
    """
    try:
        key = authenticate_key(request)
        if key is None:
            raise NotAuthenticated
        throttling.count_request(request, key)
    except (AuthenticationFailed, NotAuthenticated) as error:
        metrics.REFUSED.inc()
        error.auth_header = "Bearer"  # type: ignore[union-attr]  # where DRF itself puts it
        raise
    except Throttled:
        metrics.LIMITED.inc()
        raise
    metrics.VERIFIED.inc()
    response = HttpResponse(status=204 if below is None else 200)
    del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-User-Id"] = str(key.user_id)
    response.headers["X-Key-Id"] = str(key.pk)
    response.headers["X-Key-Name"] = quote(key.name, safe=_PLAIN)
    response.headers["X-Tier"] = quote(key.tier, safe=_PLAIN)
    return response
