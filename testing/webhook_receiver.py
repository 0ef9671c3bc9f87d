"""A receiver of events on loopback, which can fail, hang, redirect or be gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from devtools.ports import LOOPBACK


@dataclass
class Receiver:
    """What it was sent and has accepted. `answer` gives the status for the nth request."""

    url: str = ""
    answer: Callable[[int], int] = lambda number: 204
    drips: bool = False
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            receiver.requests.append((dict(self.headers), body))
            if receiver.drips:
                while not receiver.stopped.wait(0.02):
                    self.wfile.write(b"H")
                return
            status = receiver.answer(len(receiver.requests))
            if 200 <= status < 300:
                receiver.accepted.append(json.loads(body))
            self.send_response(status)
            self.send_header("Location", receiver.url + "elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing: the test looks at what was received."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that left
    receiver.url = f"http://{LOOPBACK}:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
