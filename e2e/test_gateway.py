"""nginx with the configuration of docs/gateway.md, in front of a test server."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
import requests

from conversations.models import Conversation
from devtools import debian
from devtools.ports import LOOPBACK, free_port, is_free
from devtools.service import ROOT
from e2e.stack import Stack
from testing import stripe_events as stripe

NAMES = ("X-User-Id", "X-Key-Id", "X-Key-Name", "X-Tier")
MAIN = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
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


@pytest.fixture(scope="module")
def gateway(stack: Stack, product: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of nginx."""
    program = debian.find("nginx")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(debian.missing("nginx"))
    directory, port = tmp_path_factory.mktemp("nginx"), free_port()
    configuration = directory / "nginx.conf"
    server = documented().replace("127.0.0.1:3000", stack.url.removeprefix("http://"))
    server = server.replace("127.0.0.1:8080", f"{LOOPBACK}:{product}")
    server = server.replace("127.0.0.1:8000", f"{LOOPBACK}:{port}")
    configuration.write_text(MAIN.format(directory=directory, server=server))
    nginx = subprocess.Popen(  # noqa: S603 - Debian's own
        [program, "-c", str(configuration), "-e", str(directory / "error.log")]
    )
    while is_free(port):
        assert nginx.poll() is None, (directory / "error.log").read_text()
        time.sleep(0.02)
    yield f"http://{LOOPBACK}:{port}"
    nginx.terminate()
    nginx.wait()


def documented() -> str:
    """The nginx block of the documentation."""
    text = Path(ROOT / "docs" / "gateway.md").read_text()
    return text.split("```nginx\n")[1].split("```")[0]


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
    forged = {"X-Tier": "free for all", "X-User-Id": "1000000"}
    answer = through(gateway, key["key"], **forged)
    assert answer.status_code == 200
    seen = {name: answer.headers[f"Seen-{name}"] for name in NAMES}
    assert seen["X-Key-Id"] == str(key["id"])
    assert seen["X-User-Id"] not in ("nothing", forged["X-User-Id"])
    assert seen["X-Key-Name"] == "B%C3%BCro"
    assert seen["X-Tier"] == "premium"
    assert answer.headers["Seen-Authorization"] == "nothing"


def test_a_revoked_key_is_refused_at_once(gateway: str, owner: Owner) -> None:
    key = owner.call("POST", "/api/api-keys", {"name": "soon gone"})
    for _ in range(5):
        assert through(gateway, key["key"]).status_code == 200
    owner.call("DELETE", f"/api/api-keys/{key['id']}")
    answer = through(gateway, key["key"])
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["", "sk_" + "0" * 64, "sk_live_0123456789", "nonsense"])
def test_without_a_valid_key_the_request_is_refused(gateway: str, key: str) -> None:
    answer = through(gateway, key)
    assert answer.status_code == 401
    assert "Seen-X-Tier" not in answer.headers


def test_repeated_failures_are_throttled_by_client_address(gateway: str, owner: Owner) -> None:
    """From an address of its own: the limit is of the client, not of the gateway."""
    port = int(gateway.rpartition(":")[2])
    headers = {"Authorization": "Bearer sk_" + "0" * 64}
    for _ in range(200):
        client = HTTPConnection(LOOPBACK, port, timeout=10, source_address=("127.0.0.2", 0))
        client.request("GET", "/", headers=headers)
        answer = client.getresponse()
        client.close()
        if answer.status == 429:
            break
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert through(gateway, "sk_" + "0" * 64).status_code == 401
