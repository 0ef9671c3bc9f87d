"""The official Stripe CLI against the local Stripe, and through it to payflow."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from devtools.runfile import DIRECTORY
from e2e.stack import Stack
from e2e.stripe_cli import CannotInstall, StripeCli, install
from sandbox.testing import RunningSandbox, running
from sandbox.tests.receiver import Receiver, receiving

SUCCEEDED = "Trigger succeeded!"

# All triggers of payments, the catalogue and customers; each makes its own event happen.
TRIGGERS = [
    "balance.available",
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.failed",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "coupon.created",
    "coupon.deleted",
    "coupon.updated",
    "customer.created",
    "customer.deleted",
    "customer.discount.created",
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.source.created",
    "customer.source.updated",
    "customer.updated",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.partially_funded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payment_link.created",
    "payment_link.updated",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "price.created",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "promotion_code.created",
    "promotion_code.updated",
    "setup_intent.canceled",
    "setup_intent.created",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "setup_intent.succeeded",
]

COMPANIONS = {
    "charge.dispute.closed": {"charge.dispute.created"},
    "charge.refund.updated": {"refund.updated"},
    "charge.refunded": {"refund.created"},
    "checkout.session.async_payment_failed": {"checkout.session.completed"},
    "checkout.session.async_payment_succeeded": {"checkout.session.completed"},
    "checkout.session.completed": {"payment_intent.succeeded"},
    "payment_intent.payment_failed": {"charge.failed"},
}


@pytest.fixture(scope="session")
def binary() -> Path:
    try:
        return install(DIRECTORY / "stripe-cli")
    except CannotInstall as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running(webhook=None, socket=tmp_path / "stripe.sock") as sandbox:
        yield sandbox


@pytest.fixture
def cli(binary: Path, sandbox: RunningSandbox, tmp_path: Path) -> StripeCli:
    return StripeCli(binary, home=tmp_path, api_base=sandbox.url)


@pytest.mark.parametrize("event", TRIGGERS)
def test_a_trigger_makes_its_events_happen(
    cli: StripeCli, sandbox: RunningSandbox, event: str
) -> None:
    said = cli.trigger(event)

    sandbox.wait_idle()
    assert SUCCEEDED in said
    assert "failed" not in said.removeprefix(event).lower().replace(event, "")
    happened = {each["type"] for each in sandbox.events()}
    assert happened >= {event, *COMPANIONS.get(event, ())}


def test_no_trigger_of_these_families_is_missing_above(cli: StripeCli) -> None:
    families = (
        "balance", "charge", "checkout", "coupon", "customer.", "payment_", "price", "product.",
        "promotion_code", "setup_intent",
    )  # fmt: skip

    offered = cli.run("trigger", "--help").partition("Supported events:")[2].partition("Usage:")[0]
    wanted = {name for name in offered.split() if name.startswith(families)}

    assert {name for name in wanted if "subscription" not in name} == set(TRIGGERS)


def test_listen_forwards_signed_events(
    cli: StripeCli, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    receiver.secret = cli.run("listen", "--skip-update", "--print-secret").strip()
    forward = ("listen", "--skip-update", "--all-snapshot", "--forward-to", receiver.url)
    with cli.following(*forward) as listening:
        listening.wait_for("Ready!")
        cli.trigger("checkout.session.completed")
        receiver.wait_for("charge.updated")
        listening.wait_for("[200]", count=len(receiver.received))

    assert receiver.refused == []
    assert Counter(receiver.types()) == Counter(each["type"] for each in sandbox.events())
    assert {each.status for each in sandbox.deliveries()} == {200}


def test_listen_goes_on_after_it_had_to_reconnect(
    binary: Path, tmp_path: Path, receiver: Receiver
) -> None:
    with running(webhook=None, reconnect_delay=1) as sandbox:
        cli = StripeCli(binary, home=tmp_path, api_base=sandbox.url)
        receiver.secret = cli.run("listen", "--skip-update", "--print-secret").strip()
        forward = ("listen", "--skip-update", "--all-snapshot", "--forward-to", receiver.url)
        with cli.following(*forward) as listening:
            listening.wait_for("Ready!")
            time.sleep(3)  # more than one reconnection
            for _ in range(2):
                cli.trigger("checkout.session.expired")
            receiver.wait_for("checkout.session.expired", count=2)

    assert receiver.refused == []


def test_resend_sends_an_event_again(
    cli: StripeCli, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    receiver.secret = cli.run("listen", "--skip-update", "--print-secret").strip()
    forward = ("listen", "--skip-update", "--all-snapshot", "--forward-to", receiver.url)
    with cli.following(*forward) as listening:
        listening.wait_for("Ready!")
        cli.trigger("checkout.session.expired")
        event = receiver.wait_for("checkout.session.expired")
        cli.run("events", "resend", event["id"])
        again = receiver.wait_for("checkout.session.expired", count=2)

    assert again["id"] == event["id"]


def test_get_and_post_show_objects(cli: StripeCli) -> None:
    made = json.loads(cli.run("post", "/v1/customers", "-d", "email=cli@example.com"))
    found = json.loads(cli.run("get", f"/v1/customers/{made['id']}"))

    assert found["email"] == "cli@example.com"
    assert "No such customer" in cli.run("get", "/v1/customers/cus_none")


def test_logs_tail_tells_of_requests(cli: StripeCli) -> None:
    with cli.following("logs", "tail") as tail:
        tail.wait_for("Ready!")
        cli.run("post", "/v1/customers", "-d", "email=cli@example.com")

        assert "[200] POST /v1/customers" in tail.wait_for("/v1/customers")


def test_fixtures_are_carried_out(cli: StripeCli, sandbox: RunningSandbox, tmp_path: Path) -> None:
    steps = [
        {
            "name": "credits",
            "path": "/v1/products",
            "method": "post",
            "params": {"name": "Credits"},
        },
        {
            "name": "cost",
            "path": "/v1/prices",
            "method": "post",
            "params": {"product": "${credits:id}", "currency": "usd", "unit_amount": 700},
        },
    ]
    file = tmp_path / "fixtures.json"
    file.write_text(json.dumps({"_meta": {"template_version": 0}, "fixtures": steps}))

    cli.run("fixtures", str(file))

    made = sandbox.events("price.created")[0]["data"]["object"]
    assert made["unit_amount"] == 700
    assert sandbox.object(made["product"])["name"] == "Credits"


def test_the_unix_socket_needs_no_flag(
    cli: StripeCli, sandbox: RunningSandbox, receiver: Receiver, tmp_path: Path
) -> None:
    quiet = replace(cli, api_base=None, socket=tmp_path / "stripe.sock")
    receiver.secret = quiet.run("listen", "--skip-update", "--print-secret").strip()
    forward = ("listen", "--skip-update", "--all-snapshot", "--forward-to", receiver.url)
    with quiet.following(*forward) as listening:
        listening.wait_for("Ready!")
        assert SUCCEEDED in quiet.trigger("charge.refunded")
        receiver.wait_for("charge.refunded")

    assert sandbox.events("charge.refunded")


class Account:
    """The demo user's own view of payflow, through its API."""

    def __init__(self, stack: Stack) -> None:
        credentials = {"email": stack.email, "password": stack.password}
        answer = requests.post(f"{stack.url}/api/auth/token", json=credentials, timeout=10).json()
        token = next(each for each in answer.values() if isinstance(each, str) and "." in each)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._url = stack.url
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        self.id = claims["sub"]

    def start_conversation(self, title: str) -> str:
        """A new conversation's id."""
        answer = requests.post(
            f"{self._url}/api/conversations",
            json={"title": title},
            headers=self._headers,
            timeout=10,
        )
        return str(answer.json()["id"])

    def status_of(self, conversation: str) -> str:
        """A conversation's payment status."""
        answer = requests.get(
            f"{self._url}/api/conversations/{conversation}", headers=self._headers, timeout=10
        )
        return str(answer.json()["paymentStatus"])

    def orders_of(self, conversation: str) -> list[str]:
        """The statuses of a conversation's orders."""
        answer = requests.get(f"{self._url}/api/orders", headers=self._headers, timeout=10).json()
        orders = answer if isinstance(answer, list) else answer.get("orders") or answer["results"]
        return [
            str(order["status"]) for order in orders if str(order["conversationId"]) == conversation
        ]


def wait_until(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError when it does not come true."""
    deadline = time.monotonic() + 15
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def ids_for(user: str, conversation: str) -> list[str]:
    """What `trigger` is to add, so that its payment is this user's for this conversation."""
    ids = {"user_id": user, "conversation_id": conversation, "tier": "premium"}
    places = ("checkout_session:metadata", "checkout_session:payment_intent_data.metadata")
    return [f"{place}.{name}={value}" for place in places for name, value in ids.items()]


def test_a_trigger_with_a_users_ids_completes_an_order(
    binary: Path, stack: Stack, tmp_path: Path
) -> None:
    account = Account(stack)
    conversation = account.start_conversation("Paid from the command line")
    cli = StripeCli(binary, home=tmp_path, api_base=stack.stripe)

    said = cli.trigger("checkout.session.completed", *ids_for(account.id, conversation))

    assert SUCCEEDED in said
    wait_until(lambda: account.status_of(conversation) == "paid")
    assert account.orders_of(conversation) == ["completed"]


def test_listen_forwards_to_payflow_which_accepts(
    binary: Path, stack: Stack, tmp_path: Path
) -> None:
    account = Account(stack)
    conversation = account.start_conversation("Heard twice, paid once")
    cli = StripeCli(binary, home=tmp_path, api_base=stack.stripe)
    webhook = f"{stack.url}/api/webhooks/stripe"
    with cli.following(
        "listen", "--skip-update", "--all-snapshot", "--forward-to", webhook
    ) as listening:
        listening.wait_for("Ready!")
        cli.trigger("checkout.session.completed", *ids_for(account.id, conversation))
        happened = listening.wait_for("--> checkout.session.completed")
        event = happened[happened.index("[") + 1 : happened.index("]")]
        listening.wait_for(f"[200] POST {webhook} [{event}]")

    wait_until(lambda: account.status_of(conversation) == "paid")
    assert account.orders_of(conversation) == ["completed"]
