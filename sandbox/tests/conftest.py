"""Fixtures: a sandbox for each test, a webhook receiver, and an SDK client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stripe

from sandbox.testing import RunningSandbox, running
from sandbox.tests.receiver import Receiver, receiving
from sandbox.tests.shop import Shop


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, for tests that run outside the repository."""
    for marker in (
        "http: talks over loopback TCP",
        "allow_hosts(hosts): the hosts that pytest-socket allows",
        "enable_socket: pytest-socket allows all hosts",
        "timeout(seconds): of pytest-timeout",
    ):
        config.addinivalue_line("markers", marker)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def sandbox(receiver: Receiver) -> Iterator[RunningSandbox]:
    with running(webhook=receiver.url) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    monkeypatch.setattr(stripe, "enable_telemetry", False)  # it would write under the home folder
    return stripe.StripeClient(
        "sk_test_sandbox",
        base_addresses={"api": sandbox.url},
        http_client=stripe.RequestsClient(timeout=(2, 10)),
    )


@pytest.fixture
def shop(sandbox: RunningSandbox, client: stripe.StripeClient) -> Shop:
    return Shop(sandbox, client)
