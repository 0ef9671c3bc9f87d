"""Several servers on one database, as in production."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from devtools.ports import LOOPBACK, free_ports
from devtools.service import Service

VERIFY = "/api/api-keys/verify"


@dataclass(frozen=True)
class Server:
    """A `manage.py serve` with this many worker processes."""

    port: int
    workers: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def request(self, method: str, path: str, bearer: str = "") -> int:
        """Send a request on a new connection, which any worker may accept; return its status."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=10)
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def verify(self, key: str) -> int:
        return self.request("GET", VERIFY, key)


@contextmanager
def fleet(environment: Mapping[str, str], *workers: int) -> Iterator[list[Server]]:
    """Start one server for each number of workers, and wait until all answer."""
    servers = [Server(*each) for each in zip(free_ports(len(workers)), workers, strict=True)]
    with ExitStack() as stack:
        services = [stack.enter_context(_service(server, environment)) for server in servers]
        for server, service in zip(servers, services, strict=True):
            service.wait_for(f"{server.url}/healthz")
        yield servers


def _service(server: Server, environment: Mapping[str, str]) -> Service:
    serve = [sys.executable, "manage.py", "serve"]
    options = [f"--bind={LOOPBACK}:{server.port}", f"--workers={server.workers}", "--threads=4"]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Service("app", [*serve, *options], {**inherited, **environment})
