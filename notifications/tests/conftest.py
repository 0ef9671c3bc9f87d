"""A mail server, and rows of the outbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from testing import mail_server


@pytest.fixture
def server(settings: Settings) -> Iterator[mail_server.MailServer]:
    with mail_server.running(settings) as running:
        yield running
