"""Access control: requests from this machine only, and none from other sites.

A page of another site can reach a loopback server through the visitor's browser: by a cross-site
request, or by DNS rebinding. The `Origin` check stops the first, the `Host` check the second. Both
hold for the names that `--allow-host` adds too, such as a container's.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sandbox.errors import ApiError
from sandbox.http_server import error_response

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def refuse_other_sites(allowed: Collection[str]) -> Middleware:
    """Middleware that refuses requests with a foreign `Host` or `Origin`."""
    names = _LOCAL_NAMES | {name.lower() for name in allowed}

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_on_unix_socket(request) and _host(request) not in names:
            return error_response(ApiError(403, _host_message(sorted(names - _LOCAL_NAMES))))
        origin = request.headers.get("Origin")
        if origin is not None and _host_name(origin) not in names:
            return error_response(ApiError(403, "Requests from other sites are not allowed."))
        return await handler(request)

    return refuse


def _host_message(more: list[str]) -> str:
    shown = ", ".join(["127.0.0.1", "localhost", *more])
    return f"The sandbox can be reached as {shown} only. The option --allow-host adds a name."


def _is_on_unix_socket(request: web.Request) -> bool:
    """Any name is allowed on the Unix socket: Stripe's CLI sends `api.stripe.com` there."""
    transport = request.transport
    return transport is not None and isinstance(transport.get_extra_info("sockname"), str | bytes)


def _host(request: web.Request) -> str | None:
    return _host_name(f"//{request.headers.get('Host', '')}")


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
