"""An answer is freed when it was sent, not when the garbage collector comes by."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from django.test import RequestFactory
from django.test.client import ClientHandler

from testing.factories import UserFactory
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

REQUESTS = (
    ("GET", "/api/conversations", 200),
    ("GET", "/api/orders", 200),
    ("GET", "/api/api-keys", 200),
    ("GET", "/api/conversations/0", 404),
    ("GET", "/api/conversations?unknown=1", 400),
    ("POST", "/api/conversations", 400),
    ("POST", "/api/payments/link", 400),
)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_an_answer_is_freed_at_once(method: str, path: str, status: int) -> None:
    """DRF's views, requests and answers refer to each other: `ApiView` takes them apart."""
    _, secret = revealed_key(UserFactory.create())
    request = RequestFactory().generic(
        method,
        path,
        b"{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )
    answer = ClientHandler()(request.environ)
    assert answer.status_code == status
    freed = weakref.ref(answer)
    del answer
    assert freed() is None
