"""The backend of docs/examples/backend adopts payflow by HTTP alone: no SQL, none of our code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pytest_django.fixtures import Settings

from accounts import service_tokens
from devtools.ports import free_port
from notifications import deliveries, endpoints
from sandbox.testing import RunningSandbox, running

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.http,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def stripe(live_server: Any, settings: Settings) -> Iterator[RunningSandbox]:
    settings.JWT_SUBJECT, settings.EVENTS_TO_PRIVATE_NETWORKS = "external_id", True
    secret = settings.STRIPE_WEBHOOK_SECRETS[0]
    webhook = f"{live_server.url}/api/webhooks/stripe"
    with running(webhook=webhook, webhook_secret=secret) as sandbox:
        settings.STRIPE_API_BASE = sandbox.url
        yield sandbox


@pytest.fixture
def shop(live_server: Any, stripe: RunningSandbox) -> Iterator[str]:
    """The URL of the other backend."""
    port = free_port()
    _, secret = endpoints.add(f"http://127.0.0.1:{port}/webhooks/payflow")
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME")},
        "PAYFLOW_URL": live_server.url,
        "SERVICE_TOKEN": service_tokens.issue("shop"),
        "WEBHOOK_SECRET": secret,
        "PORT": str(port),
    }
    with subprocess.Popen(  # noqa: S603 - the project's own example
        [sys.executable, str(ROOT / "docs/examples/backend/shop.py")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_it_provisions_pays_verifies_refunds_and_erases(
    shop: str, live_server: Any, stripe: RunningSandbox
) -> None:
    browser = requests.Session()
    user_id = browser.post(f"{shop}/sign-up", json={"email": "ada@example.com"}, timeout=30).json()
    token = browser.get(f"{shop}/token", timeout=30).json()["token"]

    def call(method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{live_server.url}/api{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=30)

    purchase = {"title": "A key", "externalId": f"of {user_id['id']}", "metadata": {"seats": "5"}}
    conversation = call("POST", "/conversations", purchase).json()
    assert conversation["metadata"] == {"seats": "5"}
    linked = call("POST", "/payments/link", {"conversationId": conversation["id"]}).json()
    stripe.pay(linked["sessionId"])
    stripe.wait_idle()

    session = call("GET", f"/checkout-sessions/{linked['sessionId']}").json()
    assert session["state"] == "completed"
    key = call("POST", f"/api-keys/{session['apiKeyId']}/reveal").json()["key"]

    def product() -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(f"{shop}/product", headers=headers, timeout=30)

    assert product().json()["product"] == "hello"
    intent = stripe.object(linked["sessionId"])["payment_intent"]
    stripe.refund(stripe.object(intent)["latest_charge"])
    stripe.wait_idle()
    order = call("GET", f"/orders/{session['order']['id']}").json()
    assert (order["state"], order["refundedCents"]) == ("refunded", order["amountCents"])
    assert product().status_code == 401

    assert set(deliveries.send_due()) == {"delivered"}  # as run_worker does
    told = requests.get(f"{shop}/events", timeout=30).json()
    assert [each["type"] for each in told][:2] == ["order.completed", "key.issued"]
    assert "order.refunded" in {each["type"] for each in told}
    facts = told[0]["data"]
    assert facts["userExternalId"] == user_id["id"]
    assert facts["conversationExternalId"] == purchase["externalId"]
    assert facts["conversationMetadata"] == purchase["metadata"]

    assert browser.delete(f"{shop}/account", timeout=30).status_code == 200
    assert call("GET", "/orders").status_code == 401
    assert browser.get(f"{shop}/token", timeout=30).status_code == 401


def test_its_token_reaches_nobody_it_did_not_make(shop: str, live_server: Any) -> None:
    for path in ("/api/orders", "/api/conversations", "/admin/"):
        answer = requests.get(f"{live_server.url}{path}", timeout=30, allow_redirects=False)
        assert answer.status_code in (401, 302)
    assert requests.get(f"{shop}/product", timeout=30).status_code == 401
    assert requests.post(f"{shop}/webhooks/payflow", data=b"{}", timeout=30).status_code == 401
