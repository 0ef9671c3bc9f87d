"""Generated clients and the examples of docs/examples/, run against a server and the local Stripe.

What needs Node is skipped by name where it is missing, and fails if CI is set.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.models import ApiKey
from devtools import api_clients
from sandbox.conformance.npm import NotInstalledError, install
from sandbox.testing import RunningSandbox, running
from testing.factories import PASSWORD, ConversationFactory, UserFactory

pytestmark = [
    pytest.mark.http,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]

WALK = [
    "the key works: true",
    "the old key works: false",
    "its successor works: true",
    "the deleted key works: false",
]
ORIGIN = "https://app.example.com"


@pytest.fixture
def stripe(live_server: Any, settings: Settings) -> Iterator[RunningSandbox]:
    """The local Stripe, which posts its events to the server."""
    secret, prices = settings.STRIPE_WEBHOOK_SECRETS[0], {"premium": "price_sandbox_premium"}
    webhook = f"{live_server.url}/api/webhooks/stripe"
    with running(webhook=webhook, webhook_secret=secret) as sandbox:
        assert django_settings.STRIPE_PRICES["premium"] == prices["premium"]
        settings.STRIPE_API_BASE = sandbox.url
        yield sandbox


@pytest.fixture
def customer(transactional_db: None) -> User:
    return UserFactory.create(email="ada@example.com", password=PASSWORD)


def needing_node(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except NotInstalledError as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


def walk(command: Sequence[str | Path], url: str, stripe: RunningSandbox, **more: str) -> list[str]:
    """Run a program, and pay when it prints the address. Returns the lines that follow."""
    credentials = {"PAYFLOW_EMAIL": "ada@example.com", "PAYFLOW_PASSWORD": PASSWORD}
    with subprocess.Popen(  # noqa: S603 - the project's own examples
        [str(part) for part in command],
        env={**os.environ, "PAYFLOW_URL": url, **credentials, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        session = re.search(r"^pay: \S*(cs_test_\w+)", first)
        if session is None:
            raise AssertionError(first + process.stdout.read())
        stripe.pay(session[1])
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0, lines
    return lines


def test_redocly_finds_no_fault_in_the_document() -> None:
    output = needing_node(api_clients.lint)
    assert "Your API description is valid" in output
    assert not re.search(r"\d+ (warning|error)", output)


def test_a_generated_python_client_pays_reveals_rotates_and_deletes(
    live_server: Any, stripe: RunningSandbox, customer: User, tmp_path: Path
) -> None:
    example = api_clients.python_client(tmp_path)
    lines = walk([sys.executable, example], live_server.url, stripe, PYTHONPATH=str(tmp_path))
    assert [line.lower() for line in lines] == WALK
    assert [key.revoked_at is None for key in ApiKey.objects.order_by("pk")] == [True, False]


def test_a_generated_typescript_client_pays_reveals_rotates_and_deletes(
    live_server: Any, stripe: RunningSandbox, customer: User
) -> None:
    example = needing_node(api_clients.typescript_client)
    assert walk(["node", example], live_server.url, stripe) == WALK
    assert [key.revoked_at is None for key in ApiKey.objects.order_by("pk")] == [True, False]


FRONTEND = """
import { startPayment, paidOrder, revealKey } from %r;
const [api, token, id] = process.argv.slice(1);
console.log("pay:", await startPayment(api, token, Number(id)));
const order = await paidOrder(api, token, id);
const repeat = crypto.randomUUID();
const key = await revealKey(api, token, order, repeat);
console.log("shown again:", key === await revealKey(api, token, order, repeat));
await revealKey(api, token, order).catch((refused) => console.log("later:", refused.code));
"""


def test_a_frontend_elsewhere_pays_and_reveals_with_a_token(
    live_server: Any, stripe: RunningSandbox, customer: User, settings: Settings
) -> None:
    needing_node(lambda: install(api_clients.FOLDER, api_clients.PACKAGES))
    conversation = ConversationFactory.create(user=customer)
    token = issue_access(customer)
    program = FRONTEND % str(api_clients.EXAMPLES / "own_frontend.mjs")
    command = ["node", "--input-type=module", "-e", program]
    arguments = [live_server.url, token, str(conversation.pk)]
    lines = walk([*command, *arguments], live_server.url, stripe)
    assert lines == ["shown again: true", "later: already_revealed"]

    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    names = "authorization,content-type,idempotency-key,payflow-version"
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": names,
    }
    preflight = requests.options(f"{live_server.url}/api/payments/link", headers=asked, timeout=30)
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    allowed = preflight.headers["Access-Control-Allow-Headers"].split(", ")
    assert set(names.split(",")) <= set(allowed)
