"""The shortcuts of machines past the middleware answer as the whole stack does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from billing.events import log
from billing.models import Order
from conversations.models import Conversation
from testing import stripe_events as stripe

pytestmark = pytest.mark.django_db

ORDINARY_PATH = f"{stripe.URL}/"
Answer = tuple[int, dict[str, Any], set[str]]
# Headers for browsers, which the fast path leaves out.
BROWSER_HEADERS = {"Vary", "X-Frame-Options"}


def post(body: str, path: str, **headers: str) -> Answer:
    client = Client(raise_request_exception=False)
    given = {"Stripe-Signature": stripe.signature(body), **headers}
    answer = client.post(path, body, content_type="application/json", headers=given)
    document = answer.json()
    length = str(len(answer.content))
    assert answer.headers.get("Content-Length", length) == length
    assert document.pop("requestId", None) in (None, answer.headers["X-Request-Id"])
    return answer.status_code, document, set(answer.headers) - BROWSER_HEADERS


ANSWERS: dict[str, tuple[Callable[[Conversation], str], dict[str, str], int]] = {
    "a payment": (lambda it: json.dumps(stripe.completed(it)), {}, 200),
    "a stranger": (lambda it: json.dumps(stripe.completed(it, metadata={})), {}, 200),
    "no json": (lambda it: "[", {}, 400),
    "not signed": (lambda it: "{}", {"Stripe-Signature": "t=1,v1=0"}, 400),
    "too large": (lambda it: " " * (1024 * 1024 + 1), {}, 413),
    "another host": (lambda it: "{}", {"Host": "elsewhere.example.com"}, 400),
    "from a page": (
        lambda it: json.dumps(stripe.completed(it)),
        {"Origin": "https://elsewhere.example.com", "Cookie": "sessionid=nobody"},
        200,
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_both_paths_give_the_same_answer(kind: str, conversation: Conversation) -> None:
    body, headers, status = ANSWERS[kind]
    text = body(conversation)
    fast = post(text, stripe.URL, **headers)
    assert fast[0] == status
    assert fast == post(text, ORDINARY_PATH, **headers)


@pytest.mark.parametrize("path", [stripe.URL, ORDINARY_PATH])
def test_an_unexpected_error_is_a_500_problem(
    path: str, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(log, "process_new", broken)
    status, document, _ = post(json.dumps(stripe.completed(conversation)), path)
    assert status == 500
    assert "secret of ours" not in json.dumps(document)


def test_the_fast_path_loads_no_session(conversation: Conversation, client: Client) -> None:
    answer = stripe.deliver(stripe.completed(conversation))
    assert not hasattr(answer.wsgi_request, "session")
    assert Order.objects.filter(conversation=conversation).exists()


def test_a_probe_is_answered_as_by_the_whole_stack(client: Client) -> None:
    fast, ordinary = client.get("/healthz"), client.post("/healthz")
    assert not hasattr(fast.wsgi_request, "session")
    assert hasattr(ordinary.wsgi_request, "session")
    assert fast.json() == ordinary.json() == {"status": "ok"}
    assert set(fast.headers) == set(ordinary.headers) - BROWSER_HEADERS


@pytest.mark.parametrize("method", ["get", "put", "delete", "options"])
def test_other_methods_take_the_ordinary_path(method: str) -> None:
    assert getattr(Client(), method)(stripe.URL).status_code == 405
