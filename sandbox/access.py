"""Access control: requests from this machine only, and none from other sites.

A page of another site can reach a loopback server through the visitor's browser: by a cross-site
request, or by DNS rebinding. The `Origin` check stops the first, the `Host` check the second.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.errors import ApiError
from sandbox.http_server import error_response

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests with a foreign `Host` or `Origin`."""
    if not _is_local_host(request):
        return error_response(
            ApiError(403, "The sandbox can be reached as 127.0.0.1 or localhost only.")
        )
    origin = request.headers.get("Origin")
    if origin is not None and _host_name(origin) not in _LOCAL_NAMES:
        return error_response(ApiError(403, "Requests from other sites are not allowed."))
    return await handler(request)


def _is_local_host(request: web.Request) -> bool:
    """Any name is allowed on the Unix socket: Stripe's CLI sends `api.stripe.com` there."""
    transport = request.transport
    if transport is not None and isinstance(transport.get_extra_info("sockname"), str | bytes):
        return True
    return _host_name(f"//{request.headers.get('Host', '')}") in _LOCAL_NAMES


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
