"""Fixtures of billing's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from devtools.ports import free_port
from sandbox.testing import RunningSandbox, running


@pytest.fixture
def local_stripe(settings: Settings) -> Iterator[RunningSandbox]:
    """A local Stripe whose webhook endpoint does not answer."""
    unreachable = f"http://127.0.0.1:{free_port()}/api/webhooks/stripe"
    with running(webhook=unreachable, retry_delays=(), ack_timeout=0.1) as sandbox:
        settings.STRIPE_API_BASE = sandbox.url
        yield sandbox
