"""A webhook receiver: verifies events with the SDK and responds as configured."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stripe

from sandbox.json_types import JsonObject
from sandbox.testing import TEST_SECRET

Answers = Callable[[JsonObject, int], int]
"""The event and the how-manieth attempt it is, to a status."""


@dataclass(frozen=True)
class Received:
    """A delivery that was verified."""

    event: JsonObject
    signature: str
    status: int
    body: bytes


class Receiver:
    """What arrived, in the order in which it did."""

    def __init__(self) -> None:
        self.secret = TEST_SECRET
        self.answer: Answers = lambda event, attempt: 200
        self.received: list[Received] = []
        self.refused: list[str] = []
        self.url = ""
        self._attempts: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def types(self) -> list[str]:
        """The types of what was accepted."""
        return [each.event["type"] for each in self.received if each.status == 200]

    def take(self, body: bytes, signature: str) -> int:
        """Verify and answer one delivery."""
        try:
            stripe.WebhookSignature.verify_header(body.decode(), signature, self.secret)
        except stripe.SignatureVerificationError as error:
            self.refused.append(str(error))
            return 400
        event = json.loads(body)
        with self._lock:
            self._attempts[event["id"]] += 1
            attempt = self._attempts[event["id"]]
        status = self.answer(event, attempt)
        with self._lock:
            self.received.append(Received(event, signature, status, body))
        return status

    def wait_for(self, kind: str, *, count: int = 1, timeout: float = 5.0) -> JsonObject:
        """The latest event of a type, once so many were accepted. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = [each.event for each in self.received if each.event["type"] == kind]
            if len(found) >= count and self.types().count(kind) >= count:
                return found[-1]
            time.sleep(0.005)
        raise TimeoutError(f"no {kind} among {self.types()}")


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.receiver.take(body, self.headers["Stripe-Signature"])
        answer = b"what the application says"
        with suppress(ConnectionError):  # the sandbox may have stopped meanwhile
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's)
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/webhook"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
