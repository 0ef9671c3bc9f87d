"""The HTTP server: connections, the Unix socket, and errors outside the handlers."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.errors import ApiError
from sandbox.identifiers import new_id
from sandbox.pages.layout import message_page

_GRACE_PERIOD = 0.5
_CONNECTION_OPTIONS: dict[str, Any] = {"access_log": None}

log = logging.getLogger("sandbox")


class Connection(web.RequestHandler):
    """A client connection. Malformed HTTP gets an API error response too."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to malformed HTTP and to errors outside the handlers."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has already begun")
        if status >= 500:
            if not isinstance(exc, ConnectionError):  # the client has disconnected
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
    """Runs the application with our Connection class."""

    def __init__(self, application: web.Application) -> None:
        super().__init__(application, handle_signals=False, shutdown_timeout=_GRACE_PERIOD)

    @property
    def server(self) -> Any:
        """The connection factory; None until it is set up."""
        server = super().server
        if server is None:
            return None
        loop = asyncio.get_running_loop()
        return lambda: Connection(server, loop=loop, **_CONNECTION_OPTIONS)


@web.middleware
async def render_error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Render errors of the pages as HTML."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return message_page("Page not found", "There is nothing here.", status=error.status)
    except web.HTTPRequestEntityTooLarge as error:
        return message_page("Too large", "The request is too large.", status=error.status)
    except web.HTTPBadRequest as error:
        return message_page(
            "Not understood", "The request is not a valid form.", status=error.status
        )


async def serve_socket(runner: web.AppRunner, path: Path) -> None:
    """Listen on a Unix socket, replacing a stale one. Raises OSError if it is in use."""
    if path.exists() and (not path.is_socket() or _is_served(path)):
        raise OSError(errno.EADDRINUSE, "taken", str(path))
    path.unlink(missing_ok=True)
    await web.UnixSite(runner, path).start()


def error_response(error: ApiError) -> web.Response:
    """The response for an API error."""
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
