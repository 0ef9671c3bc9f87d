"""Decides who is served and how a refusal reads that no route words: this machine only, always.

A page of another site can reach a server on loopback through the visitor's browser: by posting to
it, or under a name of its own that resolves to 127.0.0.1. The first shows in `Origin`, the second
in `Host`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.errors import ApiError
from sandbox.identifiers import new_id
from sandbox.pages.layout import message_page

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_GRACE_PERIOD = 0.5
_CONNECTION_OPTIONS: dict[str, Any] = {"access_log": None}

log = logging.getLogger("sandbox")


class Connection(web.RequestHandler):
    """One client's connection, which refuses what is not HTTP in the API's words too."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what no handler has seen or survived."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status >= 500:
            if not isinstance(exc, ConnectionError):  # a client that has gone is no failure
                log.error("%s %s failed", request.method, request.path, exc_info=exc)
            response = error_response(
                ApiError(status, "An unknown error occurred.", kind="api_error")
            )
        else:
            response = error_response(
                ApiError(status, "Invalid request: it could not be read as HTTP.")
            )
        response.force_close()
        return response


class LoopbackRunner(web.AppRunner):
    """Runs the application on connections of our own."""

    def __init__(self, application: web.Application) -> None:
        super().__init__(application, handle_signals=False, shutdown_timeout=_GRACE_PERIOD)

    @property
    def server(self) -> Any:
        """What makes a connection; None until it is set up."""
        server = super().server
        if server is None:
            return None
        loop = asyncio.get_running_loop()
        return lambda: Connection(server, loop=loop, **_CONNECTION_OPTIONS)


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep other sites' pages, which a browser on this machine may show, from using the sandbox."""
    if not _is_local_host(request):
        return error_response(ApiError(403, "The sandbox answers under the name 127.0.0.1 only."))
    origin = request.headers.get("Origin")
    if origin is not None and _host_name(origin) not in _LOCAL_NAMES:
        return error_response(ApiError(403, "Other sites may not use the sandbox."))
    return await handler(request)


@web.middleware
async def render_error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what the pages refuse into pages."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return message_page("Page not found", "There is nothing here.", status=error.status)
    except web.HTTPRequestEntityTooLarge as error:
        return message_page("Too large", "That was too much to read.", status=error.status)
    except web.HTTPBadRequest as error:
        return message_page("Not understood", "That was not a form.", status=error.status)


async def serve_socket(runner: web.AppRunner, path: Path) -> None:
    """Listen on a Unix socket, in the place of one that nobody serves. Raises OSError."""
    if path.exists() and (not path.is_socket() or _is_served(path)):
        raise OSError(errno.EADDRINUSE, "taken", str(path))
    path.unlink(missing_ok=True)
    await web.UnixSite(runner, path).start()


def error_response(error: ApiError) -> web.Response:
    request_id = new_id("request")
    return web.json_response(
        error.envelope(request_id), status=error.status, headers={"Request-Id": request_id}
    )


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _is_local_host(request: web.Request) -> bool:
    """Through the Unix socket any name will do: Stripe's CLI says `api.stripe.com` there."""
    transport = request.transport
    if transport is not None and isinstance(transport.get_extra_info("sockname"), str | bytes):
        return True
    return _host_name(f"//{request.headers.get('Host', '')}") in _LOCAL_NAMES


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
