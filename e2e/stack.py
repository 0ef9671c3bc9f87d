"""The servers of the browser tests: payflow, the local Stripe, a demo user."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devtools.management import manage
from devtools.ports import LOOPBACK, free_port
from devtools.service import Service


@dataclass(frozen=True)
class Stack:
    """The URLs, and the demo user's credentials."""

    url: str
    stripe: str
    email: str
    password: str


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start both servers on free ports and the test run's database; stop them at the end."""
    port, stripe_port = free_port(), free_port()
    url, stripe = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{stripe_port}"
    environment = {
        **os.environ,  # the test run's settings: DEBUG is off, as in production
        "PORT": str(port),
        "FRONTEND_URL": url,
        "STRIPE_API_BASE": stripe,
        "TRUSTED_PROXIES": "1",  # e2e/test_gateway.py puts nginx in front
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
        yield Stack(url, stripe, demo["email"], demo["password"])
