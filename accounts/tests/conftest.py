"""Sign-up is on, and its mail is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings


@pytest.fixture
def sign_up(settings: Settings) -> Iterator[None]:
    settings.SIGN_UP = True
    settings.MAIL_IS_SENT = True
    cache.clear()  # django-allauth counts there
    yield
    cache.clear()
