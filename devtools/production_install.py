"""Try a production environment: import every module, then serve, pay and verify a key.

`make production-install` makes that environment from requirements/prod.txt alone, and runs this
with its Python. So only what is installed there, and the standard library, can be imported: a
module that needs a package of the developers' set fails here, and not on a server.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import django
from django.apps import AppConfig, apps
from django.conf import settings

from devtools.ports import LOOPBACK, free_port, is_free

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT = 60.0
EMAIL = "owner@example.com"
HOST = "pay.example.com"  # of production-example.env


class Failed(Exception):
    """A step failed; the text says which."""


def main() -> int:
    try:
        print(f"{import_all()} modules can be imported.")
        with tempfile.TemporaryDirectory() as directory:
            environment = {
                **os.environ,
                "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
                "STATIC_ROOT": f"{directory}/static",
            }
            pay_and_verify(environment)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def import_all() -> int:
    """Import every module of our apps; return their number."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
    django.setup()
    failures = []
    modules = [name for config in apps.get_app_configs() for name in modules_of(config)]
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise Failed("\n".join(failures))
    return len(modules)


def modules_of(config: AppConfig) -> list[str]:
    """Every module of an app of ours but its tests; nothing of a library's app."""
    if Path(config.path).parent != ROOT:
        return []
    return [config.name, *_below(Path(config.path), config.name)]


def _below(folder: Path, package: str) -> list[str]:
    found = []
    for module in pkgutil.iter_modules([str(folder)]):
        name = f"{package}.{module.name}"
        if module.name != "tests":
            found += [name, *(_below(folder / module.name, name) if module.ispkg else [])]
    return found


def pay_and_verify(environment: Mapping[str, str]) -> None:
    """A page, a static file, the docs, a signed webhook, and the key that it issued."""
    manage(environment, "migrate", "--verbosity=0")
    manage(environment, "collectstatic", "--noinput", "--verbosity=0")
    create = ["createsuperuser", "--noinput", f"--email={EMAIL}"]
    manage({**environment, "DJANGO_SUPERUSER_PASSWORD": "made-up-4-this"}, *create)
    token = manage(environment, "issue_token", EMAIL).strip()
    with serving(environment) as port:
        client = Client(port)
        page = client.call("GET", "/accounts/login/")
        for path in ("/api/docs", "/admin/login/", *re.findall(r'"(/static/[^"]+)"', page)):
            client.call("GET", path)
        made = json.loads(client.call("POST", "/api/conversations", {"title": "first"}, token))
        client.deliver(paid_event(made["id"], 1))
        (key,) = json.loads(client.call("GET", "/api/api-keys", None, token))["keys"]
        shown = client.call("POST", f"/api/api-keys/{key['id']}/reveal", {}, token)
        client.call("GET", "/api/api-keys/verify", None, json.loads(shown)["key"])
    print("A page, a static file, the docs, a webhook and a verify were served.")


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"manage.py {arguments[0]}: {done.stderr}")
    return done.stdout


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[int]:
    """The port of `manage.py serve`."""
    port = free_port()
    serve = [sys.executable, "manage.py", "serve", f"--bind={LOOPBACK}:{port}", "--workers=1"]
    server = subprocess.Popen(serve, cwd=ROOT, env={**environment, "LOG_LEVEL": "ERROR"})
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while is_free(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed("manage.py serve does not start")
            time.sleep(0.05)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


class Client:
    def __init__(self, port: int) -> None:
        self._port = port

    def call(self, method: str, path: str, body: object = None, bearer: str = "") -> str:
        headers = {"Content-Type": "application/json"}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        return self._send(method, path, "" if body is None else json.dumps(body), headers)

    def deliver(self, event: object) -> None:
        """Post an event as Stripe does, signed."""
        body, now = json.dumps(event), int(time.time())
        secret = settings.STRIPE_WEBHOOK_SECRETS[0].encode()
        signed = hmac.new(secret, f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={signed}"}
        self._send("POST", "/api/webhooks/stripe", body, headers)

    def _send(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> str:
        connection = HTTPConnection(LOOPBACK, self._port, timeout=30)
        connection.request(method, path, body, {"Host": HOST, **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status not in (200, 201, 204):
            raise Failed(f"{method} {path}: {answer.status} {text[:500]}")
        return text


def paid_event(conversation_id: int, user_id: int) -> object:
    session = {
        "id": "cs_test_production",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": "pi_production",
        "amount_total": 2000,
        "currency": "usd",
        "livemode": False,
        "metadata": {
            "conversation_id": str(conversation_id),
            "user_id": str(user_id),
            "tier": "premium",
        },
    }
    return {
        "id": "evt_production",
        "object": "event",
        "type": "checkout.session.completed",
        "livemode": False,
        "data": {"object": session},
    }


if __name__ == "__main__":
    sys.exit(main())
