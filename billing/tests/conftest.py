"""Fixtures of billing's tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from sandbox.testing import RunningSandbox, running


@pytest.fixture
def local_stripe(settings: Settings) -> Iterator[RunningSandbox]:
    """A local Stripe whose webhook endpoint does not answer."""
    unreachable = "http://127.0.0.1:1/api/webhooks/stripe"
    with running(webhook=unreachable, retry_delays=(), ack_timeout=0.1) as sandbox:
        settings.STRIPE_API_BASE = sandbox.url
        yield sandbox


class FixedAnswer(BaseHTTPRequestHandler):
    """Answers every request with `answer`."""

    answer: tuple[int, bytes] = (200, b"")
    asked = 0
    url = ""

    def do_POST(self) -> None:
        type(self).asked += 1
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def fixed_answer(settings: Settings) -> Iterator[type[FixedAnswer]]:
    """A Stripe that answers every request alike."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), FixedAnswer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    FixedAnswer.url = settings.STRIPE_API_BASE = f"http://127.0.0.1:{server.server_port}"
    yield FixedAnswer
    server.shutdown()
    server.server_close()
    thread.join()
