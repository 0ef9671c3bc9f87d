"""The servers of the browser tests: payflow, the local Stripe, mail, a demo user."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from devtools.management import manage
from devtools.ports import LOOPBACK, free_ports
from devtools.service import Service
from testing import mail_server
from testing.mail_server import MailServer

MAIL_TIMEOUT = 90  # seconds; the worker looks every five


@dataclass(frozen=True)
class Stack:
    """The URLs, and the demo user's credentials."""

    url: str
    stripe: str
    email: str
    password: str
    mail: MailServer = field(default_factory=MailServer)
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def sending_mail(self) -> Iterator[None]:
        """Run the worker, which sends the outbox."""
        worker = [sys.executable, "manage.py", "run_worker"]
        with Service("worker", worker, self.environment):
            yield

    def mailed_link(self, address: str, below: str) -> str:
        """The path of the newest link below this one in a message to the address; waits for it."""
        deadline = time.monotonic() + MAIL_TIMEOUT
        while time.monotonic() < deadline:
            for message in reversed(self.mail.received):
                part = message.get_body(("plain",))
                found = re.search(rf"{self.url}({below}\S+)", part.get_content() if part else "")
                if found and message["To"] == address:
                    return found[1]
            time.sleep(0.2)
        raise TimeoutError(f"no mail to {address}")


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start both servers on free ports and the test run's database; stop them at the end."""
    with mail_server.serving() as mail:
        yield from _running_with(mail)


def _running_with(mail: MailServer) -> Iterator[Stack]:
    port, stripe_port = free_ports(2)
    url, stripe = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{stripe_port}"
    environment = {
        **os.environ,  # the test run's settings: DEBUG is off, as in production
        "PORT": str(port),
        "FRONTEND_URL": url,
        "STRIPE_API_BASE": stripe,
        "TRUSTED_PROXIES": "1",  # e2e/test_gateway.py puts nginx in front
        "EMAIL_URL": f"smtp://{LOOPBACK}:{mail.port}",
        "SIGN_UP": "on",
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": "8",
    }
    manage(environment, "migrate", "--verbosity=0")
    demo = json.loads(manage({**environment, "DEBUG": "on"}, "create_demo", "--json"))
    sandbox = ["-m", "sandbox", f"--port={stripe_port}", f"--webhook={url}/api/webhooks/stripe"]
    serve = ["manage.py", "serve", f"--bind={LOOPBACK}:{port}"]
    with (
        Service("stripe", [sys.executable, *sandbox], environment) as local_stripe,
        Service("app", [sys.executable, *serve], environment) as app,
    ):
        local_stripe.wait_for_line_with(stripe)
        app.wait_for(f"{url}/healthz")
        yield Stack(url, stripe, demo["email"], demo["password"], mail, environment)
