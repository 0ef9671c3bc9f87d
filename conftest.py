"""Fixtures of all tests. Sockets are off except for tests marked `http`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys import throttling
from apikeys.cache.invalidation import LISTENER
from apikeys.throttling import COUNTER
from billing import offers
from conversations.models import Conversation
from testing.clients import bearer
from testing.factories import ConversationFactory, UserFactory

LOOPBACK = ["127.0.0.1", "::1"]


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("http"):
        item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


@pytest.fixture(autouse=True)
def reset_process_state() -> Iterator[None]:
    """Clear cached keys, counters and the listener's connection after each test."""
    yield
    LISTENER.stop()
    COUNTER.clear()
    # Tests that look for secrets in the logs would find none.
    assert not logging.getLogger("payflow.http.access_log").disabled


@pytest.fixture(autouse=True)
def stripe_said_no_price(settings: Settings) -> None:
    """Pages show no price unless the test runs the local Stripe: Stripe itself is not asked.

    What an earlier test has put into the cache is gone.
    """
    cache.clear()
    for price_id in settings.STRIPE_PRICES.values():
        cache.set(offers.asked(price_id), 1)


@pytest.fixture
def in_one_minute() -> None:
    """No minute ends within the test: limits count by it."""
    if (left := throttling.rest_of_window()) < 10:
        time.sleep(left + 0.1)


@pytest.fixture(autouse=True)
def fast_passwords(settings: Settings) -> None:
    """Hash passwords quickly: the hasher of production takes a third of a second each time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def conversation(db: None) -> Conversation:
    """An unpaid conversation of a customer."""
    return ConversationFactory.create()


@pytest.fixture
def stranger(db: None) -> User:
    """Another customer, who owns nothing in the test."""
    return UserFactory.create()


@pytest.fixture
def api_of() -> Callable[[User], APIClient]:
    """An API client that authenticates as this user, by JWT."""

    def client(user: User) -> APIClient:
        return bearer(issue_access(user))

    return client
