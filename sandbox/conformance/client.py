"""HTTP client of the checks: sends API requests and forms, and records what comes back."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox.account import API_VERSION
from sandbox.json_types import JsonObject
from sandbox.testing import RunningSandbox

_KEY = "sk_test_conformance"
_TIMEOUT = 30


@dataclass(frozen=True)
class Response:
    """A response of the API."""

    method: str
    path: str
    status: int
    body: JsonObject


@dataclass
class Recording:
    """Responses of the API and events received by the webhook, in order."""

    responses: list[Response] = field(default_factory=list)
    events: list[JsonObject] = field(default_factory=list)


class Client:
    """A client of one running sandbox."""

    def __init__(self, sandbox: RunningSandbox, recording: Recording | None = None) -> None:
        self._sandbox = sandbox
        self._recording = recording or Recording()

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Send an API request and record the response. Returns the body, also of an error."""
        encoded = urllib.parse.urlencode(list(flatten(params or {})))
        url = path if method == "POST" or not encoded else f"{path}?{encoded}"
        status, _, text = self._send(
            method,
            url,
            encoded.encode() if method == "POST" else None,
            {"Authorization": f"Bearer {_KEY}", "Stripe-Version": API_VERSION, **(headers or {})},
        )
        body: JsonObject = json.loads(text)
        self._recording.responses.append(Response(method, path, status, body))
        return body

    def get(self, path: str, **params: Any) -> JsonObject:
        """GET from the API."""
        return self.request("GET", path, params)

    def post(self, path: str, **params: Any) -> JsonObject:
        """POST to the API."""
        return self.request("POST", path, params)

    def delete(self, path: str) -> JsonObject:
        """DELETE in the API."""
        return self.request("DELETE", path)

    def submit(self, path: str, **form: str) -> int:
        """Submit a form of the payment page or the control page. Returns the status."""
        body = urllib.parse.urlencode(form).encode()
        return self._send("POST", path, body, {})[0]

    def visit(self, url: str) -> int:
        """Open a page of the sandbox. Returns the status."""
        return self._send("GET", url.removeprefix(self._sandbox.url), None, {})[0]

    def settle(self) -> None:
        """Let time pass until everything that follows a payment has happened."""
        for _ in range(3):
            self._sandbox.advance_clock(400)
            self._sandbox.wait_idle()

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's clock forward."""
        self._sandbox.advance_clock(seconds)
        self._sandbox.wait_idle()

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], str]:
        request = urllib.request.Request(  # noqa: S310 (the sandbox's own URL)
            self._sandbox.url + path, data=body, method=method, headers=dict(headers)
        )
        try:
            with _OPENER.open(request, timeout=_TIMEOUT) as response:
                return response.status, dict(response.headers), response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Stripe's form encoding: `a[b]=1`, `a[0][c]=2`."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, each in items:
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(each, dict | list) and each:
            yield from flatten(each, name)
        elif isinstance(each, bool):
            yield name, "true" if each else "false"
        else:
            yield name, "" if each is None or each in ({}, []) else str(each)


@contextmanager
def receiving(recording: Recording) -> Iterator[str]:
    """A webhook that records every event. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            recording.events.append(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/webhook"
    finally:
        server.shutdown()
        server.server_close()
