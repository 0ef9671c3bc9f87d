"""deploy/nginx/edge.conf in front of a stand-in for payflow, which says when it was asked."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devtools import debian
from devtools.ports import LOOPBACK, free_port, is_free
from e2e import test_gateway

ANONYMOUS = 20
FILES = 150  # that nginx may have open


class StandIn(ThreadingHTTPServer):
    """Is payflow and the product: 204 for a request with a key, 401 without one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.checked: list[float] = []
        self.all_are_here = threading.Barrier(ANONYMOUS, timeout=4)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_GET(self) -> None:
        status = 204
        if self.path == "/api/api-keys/verify":
            self.server.checked.append(time.time())
            if not self.headers["Authorization"]:
                status = 401 if self._is_with_the_others() else 503
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _is_with_the_others(self) -> bool:
        try:
            self.server.all_are_here.wait()
        except threading.BrokenBarrierError:
            return False
        return True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def edge(stand_in: StandIn, tmp_path: Path) -> Iterator[int]:
    """The port of nginx."""
    port = free_port()
    text = test_gateway.edge()
    for documented, address in {
        "127.0.0.1:3000": f"{LOOPBACK}:{stand_in.server_port}",
        "127.0.0.1:8080": f"{LOOPBACK}:{stand_in.server_port}",
        "127.0.0.1:8000": f"{LOOPBACK}:{port}",
        "/dev/shm/payflow-keys": str(tmp_path / "keys"),  # noqa: S108 - replaced
        "rate=6000r/m": "rate=100000r/s",
    }.items():
        assert documented in text
        text = text.replace(documented, address)
    command = test_gateway.nginx(tmp_path, text)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(f"worker_rlimit_nofile {FILES};\n{configuration.read_text()}")
    server = subprocess.Popen(command, env={"PATH": debian.PATH})  # noqa: S603
    while is_free(port):
        assert server.poll() is None
        time.sleep(0.02)
    yield port
    server.terminate()
    server.wait()


def status(connection: HTTPConnection, **headers: str) -> int:
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_payflow_is_asked_about_a_busy_key_in_every_second(edge: int, stand_in: StandIn) -> None:
    """So no answer is used for longer than a second."""
    connection = HTTPConnection(LOOPBACK, edge, timeout=10)
    began = time.time()
    while time.time() < began + 4:
        assert status(connection, Authorization="Bearer sk_busy") == 204
    connection.close()
    complete = range(int(began) + 1, int(began) + 4)
    assert set(complete) <= set(map(int, stand_in.checked))
    assert len(stand_in.checked) < 20


def test_requests_without_a_key_do_not_wait_for_each_other(edge: int) -> None:
    """The stand-in answers none before it has all."""

    def anonymous(_: int) -> int:
        with closing(HTTPConnection(LOOPBACK, edge, timeout=30)) as connection:
            return status(connection)

    with ThreadPoolExecutor(ANONYMOUS) as pool:
        assert set(pool.map(anonymous, range(ANONYMOUS))) == {401}


def test_many_busy_keys_need_few_open_files(edge: int) -> None:
    connection = HTTPConnection(LOOPBACK, edge, timeout=10)
    began, statuses = time.time(), set()
    while time.time() < began + 4:
        for number in range(FILES):
            statuses.add(status(connection, Authorization=f"Bearer sk_{number}"))
    connection.close()
    assert statuses == {204}
