"""What holds for every test: sockets are off, but for the tests that are about HTTP."""

from __future__ import annotations

import pytest

LOOPBACK = ["127.0.0.1", "::1"]


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("http"):
        item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
