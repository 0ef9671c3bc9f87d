"""The WSGI application as the server's threads call it: as many requests at once as it has slots.

A thread reads the whole body before it takes a slot, so a slow client occupies a thread, which is
cheap, and never a slot. Each slot keeps a database connection, which its request uses: with one for
each thread, a few hundred slow clients would open as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from queue import SimpleQueue
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], HttpResponseBase]


class Slots:
    """Calls the application, at most `count` times at once in this process."""

    def __init__(self, application: Application, count: int) -> None:
        self._application = application
        self._healthz = reverse("healthz")
        self._unread = reverse("verify")  # a gateway may announce a body that it does not send
        self._free: SimpleQueue[BaseDatabaseWrapper] = SimpleQueue()
        for _ in range(count):
            connection = connections.create_connection(DEFAULT_DB_ALIAS)
            connection.inc_thread_sharing()
            self._free.put(connection)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"] = BytesIO(self._body(environ))
        if environ["PATH_INFO"] == self._healthz:  # it needs no database, however slow that is
            return _whole(self._application(environ, start_response))
        connection = self._free.get()
        connections[DEFAULT_DB_ALIAS] = connection
        keep = False
        try:
            answer = _whole(self._application(environ, start_response))
            # A generator may query while it is sent; a file does not.
            keep = isinstance(answer, StreamingHttpResponse) and not isinstance(
                answer, FileResponse
            )
        finally:
            if not keep:
                self._release(connection)
        return _Stream(answer, partial(self._release, connection)) if keep else answer

    def _body(self, environ: Environ) -> bytes:
        """The whole body; none of one that is refused by its announced length."""
        announced = environ.get("CONTENT_LENGTH") or ""
        length = int(announced) if announced.isascii() and announced.isdigit() else 0
        if not 0 < length <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return b""
        if environ["PATH_INFO"].startswith(self._unread):
            return b""
        body: bytes = environ["wsgi.input"].read(length)
        return body

    def _release(self, connection: BaseDatabaseWrapper) -> None:
        del connections[DEFAULT_DB_ALIAS]
        self._free.put(connection)


def _whole(response: HttpResponseBase) -> Iterable[bytes]:
    """The content as a list, which the server sends at once; a stream as it is."""
    if isinstance(response, StreamingHttpResponse):
        return response
    try:
        return [b"".join(response)]
    finally:
        response.close()


class _Stream:
    """A response that calls `released` when it is closed."""

    def __init__(self, response: Any, released: Callable[[], None]) -> None:
        self._response = response
        self._released = released

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        try:
            self._response.close()
        finally:
            self._released()
