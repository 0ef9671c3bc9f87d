"""The page of docs/examples/frontend, on an origin of its own; Stripe's webhook is blocked."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests
from playwright.sync_api import Browser, expect

from devtools.management import manage
from devtools.ports import LOOPBACK, free_ports
from devtools.service import ROOT, Service
from e2e.conftest import TIMEOUT_MS
from e2e.customer import GOOD_CARD, KEY, Customer
from e2e.stack import Stack
from sandbox.testing import running

EXAMPLE = ROOT / "docs/examples/backend/shop.py"


@pytest.fixture
def shop() -> Iterator[Stack]:
    """The other backend and its frontend, beside payflow, whose webhook nobody reaches."""
    ports = free_ports(3)
    url, api, nowhere = (f"http://{LOOPBACK}:{port}" for port in ports)
    webhook = f"{nowhere}/api/webhooks/stripe"
    with (
        running(webhook=webhook, retry_delays=(), ack_timeout=0.1) as stripe,
        ExitStack() as services,
    ):
        environment = {
            **os.environ,
            "PORT": str(ports[1]),
            "FRONTEND_URL": url,
            "CORS_ALLOWED_ORIGINS": url,
            "JWT_SUBJECT": "external_id",
            "STRIPE_API_BASE": stripe.url,
            "WEB_CONCURRENCY": "1",
        }
        manage(environment, "migrate", "--verbosity=0")
        token = manage(environment, "issue_service_token", f"shop-{ports[0]}").strip()
        of_shop = {"PAYFLOW_URL": api, "SERVICE_TOKEN": token, "PORT": str(ports[0])}
        serve = [sys.executable, "manage.py", "serve", f"--bind={LOOPBACK}:{ports[1]}"]
        app = services.enter_context(Service("app", serve, environment))
        own = {**os.environ, **of_shop}
        backend = services.enter_context(Service("shop", [sys.executable, str(EXAMPLE)], own))
        app.wait_for(f"{api}/healthz")
        backend.wait_for(url)
        yield Stack(url, stripe.url, f"customer-{ports[0]}@example.com", "")


@pytest.mark.timeout(400)  # it starts servers of its own
def test_a_frontend_of_ones_own_shows_the_key_while_the_webhook_is_blocked(
    browser: Browser, shop: Stack
) -> None:
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(shop.url)
    page.get_by_label("Email").fill(shop.email)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("button", name="Buy a key").click()
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible()
    Customer(page, shop).enter_card(GOOD_CARD)
    page.wait_for_url(f"{shop.url}/payments/success?session_id=*")
    returned = time.perf_counter()
    page.get_by_role("button", name="Show my key").click()
    shown = page.get_by_label("Key", exact=True)
    expect(shown).to_have_text(KEY)
    seconds = time.perf_counter() - returned
    sys.stdout.write(f"The key was shown {seconds:.1f} s after Checkout returned.\n")
    key = shown.inner_text()
    headers = {"Authorization": f"Bearer {key}"}
    assert requests.get(f"{shop.url}/product", headers=headers, timeout=30).ok
    assert key not in page.url
    page.reload()  # the key is not shown twice
    page.get_by_role("button", name="Show my key").click()
    expect(page.get_by_text("shown before")).to_be_visible()
    context.close()
