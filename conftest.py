"""What holds for every test: sockets are off, but for the tests that are about HTTP.

And who acts in most of them: a customer with a conversation, and API clients that speak for users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.cache.invalidation import LISTENER
from apikeys.throttling import COUNTER
from conversations.models import Conversation
from testing.clients import bearer
from testing.factories import ConversationFactory, UserFactory

LOOPBACK = ["127.0.0.1", "::1"]


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("http"):
        item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


@pytest.fixture(autouse=True)
def as_a_fresh_process() -> Iterator[None]:
    """No test inherits another's cached keys, counters, or connection to the database."""
    yield
    LISTENER.stop()
    COUNTER.clear()


@pytest.fixture
def conversation(db: None) -> Conversation:
    """An unpaid conversation of a customer."""
    return ConversationFactory.create()


@pytest.fixture
def stranger(db: None) -> User:
    """Another customer, to whom nothing in the test belongs."""
    return UserFactory.create()


@pytest.fixture
def api_of() -> Callable[[User], APIClient]:
    """An API client that authenticates as this user, by JWT."""

    def client(user: User) -> APIClient:
        return bearer(issue_access(user))

    return client
