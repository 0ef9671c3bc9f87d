"""nginx and Caddy as docs/gateway.md and deploy/nginx have them, in front of a test server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
import requests

from conversations.models import Conversation
from devtools import debian
from devtools.cluster import configuration
from devtools.ports import LOOPBACK, free_port, is_free
from devtools.service import ROOT
from e2e.stack import Stack
from testing import stripe_events as stripe

REFUSED_WITHIN = 2.0
NAMES = ("X-User-Id", "X-Key-Id", "X-Key-Name", "X-Tier")
MAIN = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{server}
}}
"""


class Product(BaseHTTPRequestHandler):
    """Answers with the headers that nginx set."""

    def do_GET(self) -> None:
        self.send_response(200)
        for name in (*NAMES, "Authorization"):
            self.send_header(f"Seen-{name}", self.headers.get(name, "nothing"))
        self.send_header("Seen-Underscores", str(sum("_" in name for name in self.headers)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def product() -> Iterator[int]:
    """The port of a dummy upstream."""
    server = ThreadingHTTPServer((LOOPBACK, 0), Product)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", params=["nginx", "edge", "edge-beside-a-dead-node", "caddy"])
def gateway(
    request: pytest.FixtureRequest,
    stack: Stack,
    product: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The URL of nginx as documented, of the edge (nginx with a cache), or of Caddy."""
    directory, port = tmp_path_factory.mktemp(request.param), free_port()
    addresses = {
        "127.0.0.1:3000": stack.url.removeprefix("http://"),
        "127.0.0.1:8080": f"{LOOPBACK}:{product}",
        "127.0.0.1:8000": f"{LOOPBACK}:{port}",
        "example.com {": f"http://{LOOPBACK}:{port} {{",
        "payflow:3000": stack.url.removeprefix("http://"),
        "product:8080": f"{LOOPBACK}:{product}",
        "/dev/shm/payflow-keys": str(directory / "keys"),  # noqa: S108 - replaced
        "inactive=5s": "inactive=60s",  # its files are read at the end
    }
    text = CONFIGURATIONS[request.param]()
    for documented_address, address in addresses.items():
        text = text.replace(documented_address, address)
    command = COMMANDS[request.param](directory, text)
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "PATH": debian.PATH}
    with (directory / "output").open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=home)  # noqa: S603
    while is_free(port):
        assert server.poll() is None, (directory / "output").read_text()
        time.sleep(0.02)
    yield f"http://{LOOPBACK}:{port}"
    server.terminate()
    server.wait()
    # Neither a cache file nor a log holds a key.
    kept = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    assert not any(re.search(rb"sk_[0-9a-f]{64}", text) for text in kept)


def nginx(directory: Path, server: str) -> list[str]:
    configuration = directory / "nginx.conf"
    head = ""
    if "set_hmac_sha256" in server:
        program(debian.NGINX_SET_MISC)
        head = debian.load_modules()
    if os.geteuid() == 0:
        head += "user root;\n"  # another user can't enter the test's directory
    configuration.write_text(head + MAIN.format(directory=directory, server=server))
    return [program("nginx"), "-c", str(configuration), "-e", str(directory / "error.log")]


def caddy(directory: Path, site: str) -> list[str]:
    configuration = directory / "Caddyfile"
    configuration.write_text(f"{{\n    admin off\n}}\n{site}")
    return [program("caddy"), "run", "--config", str(configuration), "--adapter", "caddyfile"]


def program(name: str) -> str:
    found = debian.find(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(debian.missing(name))
    return str(found)


def documented(language: str) -> str:
    """The first block of this language in the documentation."""
    text = (ROOT / "docs" / "gateway.md").read_text()
    return text.split(f"```{language}\n")[1].split("```")[0]


def edge() -> str:
    return (ROOT / "deploy" / "nginx" / "edge.conf").read_text()


def edge_beside_a_dead_node() -> str:
    """Nothing listens on the first node's port."""
    server = configuration.EDGE_UPSTREAM
    return edge().replace(server, f"    server {LOOPBACK}:1 max_fails=0;\n{server}")


CONFIGURATIONS: dict[str, Callable[[], str]] = {
    "nginx": lambda: documented("nginx"),
    "edge": edge,
    "edge-beside-a-dead-node": edge_beside_a_dead_node,
    "caddy": lambda: documented("caddyfile"),
}
COMMANDS = {"nginx": nginx, "edge": nginx, "edge-beside-a-dead-node": nginx, "caddy": caddy}


class Owner:
    """A paying customer who calls payflow directly."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.url
        credentials = {"email": stack.email, "password": stack.password}
        self._headers: dict[str, str] = {}
        access = self.call("POST", "/api/auth/token", credentials)["access"]
        self._headers = {"Authorization": f"Bearer {access}"}
        self.id = int(jwt.decode(access, options={"verify_signature": False})["sub"])

    def call(self, method: str, path: str, body: object = None) -> dict[str, str]:
        answer = requests.request(
            method, self._url + path, json=body, headers=self._headers, timeout=10
        )
        assert answer.ok, answer.text
        said: dict[str, str] = answer.json()
        return said


def through(gateway: str, key: str = "", **headers: str) -> requests.Response:
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return requests.get(f"{gateway}/orders?x=1", headers=headers, timeout=10)


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Owner:
    """The demo user, once they have paid."""
    owner = Owner(stack)
    paid_for = Conversation(pk=int(owner.call("POST", "/api/conversations", {"title": "x"})["id"]))
    paid_for.user_id = owner.id
    body = json.dumps(stripe.completed(paid_for))
    headers = {"Stripe-Signature": stripe.signature(body), "Content-Type": "application/json"}
    webhook = f"{stack.url}/api/webhooks/stripe"
    assert requests.post(webhook, body, headers=headers, timeout=10).ok
    return owner


def test_a_valid_key_passes_and_upstream_gets_its_owner(gateway: str, owner: Owner) -> None:
    key = owner.call("POST", "/api/api-keys", {"name": "Büro"})
    forged = {"X-Tier": "free for all", "X-User-Id": "1000000", "X_User_Id": "1000000"}
    answer = through(gateway, key["key"], **forged)
    assert answer.status_code == 200
    seen = {name: answer.headers[f"Seen-{name}"] for name in NAMES}
    assert seen["X-Key-Id"] == str(key["id"])
    assert seen["X-User-Id"] not in ("nothing", forged["X-User-Id"])
    assert seen["X-Key-Name"] == "B%C3%BCro"
    assert seen["X-Tier"] == "premium"
    assert answer.headers["Seen-Authorization"] == "nothing"
    assert answer.headers["Seen-Underscores"] == "0"


def test_a_revoked_key_is_refused_within_two_seconds(gateway: str, owner: Owner) -> None:
    key = owner.call("POST", "/api/api-keys", {"name": "soon gone"})
    for _ in range(5):
        assert through(gateway, key["key"]).status_code == 200
    owner.call("DELETE", f"/api/api-keys/{key['id']}")
    revoked = time.monotonic()
    while (answer := through(gateway, key["key"])).status_code == 200:
        assert time.monotonic() - revoked < REFUSED_WITHIN
        time.sleep(0.02)  # the edge has a limit of requests
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("gateway", ["edge"], indirect=True)
def test_the_edge_tells_keys_apart_and_limits_each(gateway: str, owner: Owner) -> None:
    """Of a busy key payflow sees a request a second; the edge counts them all."""
    busy, other = (owner.call("POST", "/api/api-keys", {"name": name}) for name in "ab")
    statuses: list[int] = []
    with requests.Session() as client:
        while not statuses or statuses[-1] == 200:
            spaces = " " * (1 + len(statuses) % 8)  # one key, however it is spelled
            client.headers["Authorization"] = f"bearer{spaces}{busy['key']}"
            answer = client.get(f"{gateway}/orders", timeout=10)
            statuses.append(answer.status_code)
            assert answer.status_code != 200 or answer.headers["Seen-X-Key-Id"] == str(busy["id"])
            assert len(statuses) < 3_000
    assert statuses[-1] == 429
    assert len(statuses) > 200
    assert answer.headers["Retry-After"] == "1"
    answer = through(gateway, other["key"])
    assert (answer.status_code, answer.headers["Seen-X-Key-Id"]) == (200, str(other["id"]))


@pytest.mark.parametrize("key", ["", "sk_" + "0" * 64, "sk_live_0123456789", "nonsense"])
def test_without_a_valid_key_the_request_is_refused(gateway: str, key: str) -> None:
    answer = through(gateway, key)
    assert answer.status_code == 401
    assert "Seen-X-Tier" not in answer.headers


def test_repeated_failures_are_throttled_by_client_address(gateway: str, owner: Owner) -> None:
    """From an address of its own: the limit is of the client, not of the gateway.

    A header with underscores, which is the proxy's own to a WSGI server, does not hide it.
    """
    port = int(gateway.rpartition(":")[2])
    headers = {"Authorization": "Bearer sk_" + "0" * 64}
    statuses: list[int] = []
    while statuses[-3:] != [429, 429, 429]:
        assert len(statuses) < 200
        headers["X_Forwarded_For"] = f"10.0.0.{len(statuses)}"
        client = HTTPConnection(LOOPBACK, port, timeout=10, source_address=("127.0.0.2", 0))
        client.request("GET", "/", headers=headers)
        answer = client.getresponse()
        client.close()
        statuses.append(answer.status)
    assert set(statuses) <= {401, 429}
    assert int(answer.headers["Retry-After"]) >= 1
    assert through(gateway, "sk_" + "0" * 64).status_code == 401
