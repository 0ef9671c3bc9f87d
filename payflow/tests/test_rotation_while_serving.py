"""Secrets are replaced while a server runs: no request fails and no event is lost.

In two reloads, as docs/operations.md has it: workers are replaced one after the other, so all must
accept a new secret before one signs with it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client

from accounts.models import User
from accounts.tokens import issue_access, issue_refresh
from billing.models import StripeEvent
from conversations.models import Conversation
from devtools.settings_for_tests import SETTINGS
from sandbox.testing import RunningSandbox, running
from testing import stripe_events as stripe
from testing.servers import App, serving, until

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.http,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
]

OURS = ("SECRET_KEY", "JWT_SECRET")
STRIPES = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
OLD = {name: SETTINGS[name] for name in (*OURS, *STRIPES)}
NEW = {
    "SECRET_KEY": "the-next-secret-key-of-the-tests-which-protects-nothing",
    "JWT_SECRET": "the-next-jwt-secret-of-the-tests-which-protects-nothing",
    "STRIPE_SECRET_KEY": "sk_test_the_next_one",
    "STRIPE_WEBHOOK_SECRET": "whsec_the_next_one",
}
# Requests of each kind while a state of the rotation lasts.
OF_EACH_KIND = 5


class Server:
    """A server whose secrets are in a file, and the local Stripe that it uses."""

    def __init__(self, app: App, file: Path, stripe: RunningSandbox) -> None:
        self.app = app
        self.file = file
        self.stripe = stripe
        self.url = f"http://127.0.0.1:{app.port}"

    def reload(self, **variables: str) -> None:
        """Write the file, and wait until every worker has read it."""
        write(self.file, variables)
        before = set(self.app.workers)
        self.app.signal(signal.SIGHUP)
        until(lambda: len(now := set(self.app.workers)) == len(before) and not now & before)


def write(file: Path, variables: Mapping[str, str]) -> None:
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    file = tmp_path / "env"
    write(file, OLD)
    names = [*OLD, *(f"{name}_FALLBACKS" for name in OURS)]
    with running(webhook=None) as stripe:
        settings: dict[str, str | None] = {**dict.fromkeys(names), "ENV_FILE": str(file)}
        with serving("--workers=2", STRIPE_API_BASE=stripe.url, **settings) as app:
            yield Server(app, file, stripe)


class Traffic:
    """What customers and Stripe send meanwhile, each kind in a thread, one after the other."""

    def __init__(self, server: Server, user: User, conversation: Conversation) -> None:
        self.server = server
        # By kind of request, statuses and what was raised instead.
        self.seen: dict[str, Counter[int | str]] = {}
        self.browser, self.token = browser_of(user), issue_access(user)
        self.refresh = issue_refresh(user)
        self.conversation = conversation
        self.webhook_secret = OLD["STRIPE_WEBHOOK_SECRET"]

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Send until the block has ended; each kind has then succeeded."""
        done = threading.Event()
        kinds = [self.open_a_page, self.list_with_a_token, self.refresh_a_token]
        kinds += [self.ask_for_a_link, self.deliver_an_event]
        threads = [threading.Thread(target=self._repeat, args=(kind, done)) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert {kind: set(found) for kind, found in self.seen.items()} == {
            kind.__name__: {200} for kind in kinds
        }

    def go_on(self) -> None:
        """Wait until some more of each kind were sent."""
        before = {kind: found.total() for kind, found in self.seen.items()}
        until(lambda: all(self.seen[k].total() >= n + OF_EACH_KIND for k, n in before.items()))

    def _repeat(self, kind: Callable[[], int], done: threading.Event) -> None:
        statuses = self.seen.setdefault(kind.__name__, Counter())
        while not done.is_set():
            try:
                statuses[kind()] += 1
            except (OSError, HTTPException) as error:  # requests' errors are OSErrors
                statuses[repr(error)] += 1
            time.sleep(0.01)  # leaves processor time to the workers that start

    def open_a_page(self) -> int:
        answer = self.browser.get(f"{self.server.url}/keys", allow_redirects=False, timeout=60)
        return answer.status_code

    def list_with_a_token(self) -> int:
        bearer = {"Authorization": f"Bearer {self.token}"}
        return self.server.app.get("/api/conversations", **bearer)

    def refresh_a_token(self) -> int:
        """With the token of the last answer, which another worker may have signed."""
        answer = self._post("/api/auth/token/refresh", {"refresh": self.refresh})
        if answer.status_code != 200:
            return answer.status_code
        self.refresh = answer.json()["refresh"]
        bearer = {"Authorization": f"Bearer {answer.json()['access']}"}
        return self.server.app.get("/api/conversations", **bearer)

    def ask_for_a_link(self) -> int:
        body = {"conversationId": self.conversation.pk}
        bearer = {"Authorization": f"Bearer {self.token}"}
        return self._post("/api/payments/link", body, **bearer).status_code

    def deliver_an_event(self) -> int:
        event = stripe.event("customer.updated", {"id": "cus_1", "object": "customer"})
        return self.server.app.deliver(event, secret=self.webhook_secret)

    def _post(self, path: str, body: stripe.Json, **headers: str) -> requests.Response:
        return requests.post(self.server.url + path, json=body, headers=headers, timeout=60)


def browser_of(user: User) -> requests.Session:
    """A browser that the user has signed in with."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    browser = requests.Session()
    browser.cookies.set("sessionid", client.cookies["sessionid"].value)
    return browser


def fallbacks(values: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}_FALLBACKS": values[name] for name in OURS}


def test_no_request_fails_while_every_secret_is_replaced(
    server: Server, stranger: User, conversation: Conversation
) -> None:
    traffic = Traffic(server, conversation.user, conversation)
    idle = browser_of(stranger)
    old_token, old_stripe_key = traffic.token, OLD["STRIPE_SECRET_KEY"]
    both = f"{OLD['STRIPE_WEBHOOK_SECRET']},{NEW['STRIPE_WEBHOOK_SECRET']}"
    with traffic.flowing():
        # All workers accept the new ones.
        server.reload(**OLD | {"STRIPE_WEBHOOK_SECRET": both}, **fallbacks(NEW))
        traffic.webhook_secret = NEW["STRIPE_WEBHOOK_SECRET"]  # Stripe's overlap has begun
        # All workers sign with the new ones.
        server.reload(**NEW | {"STRIPE_WEBHOOK_SECRET": both}, **fallbacks(OLD))
        expire(server.stripe, old_stripe_key)
        traffic.go_on()
        traffic.token = issue_by(server, traffic)
        # None accepts the old ones.
        server.reload(**NEW)
        traffic.go_on()
    assert StripeEvent.objects.count() == traffic.seen["deliver_an_event"].total()
    old_secret = OLD["STRIPE_WEBHOOK_SECRET"]
    assert server.app.deliver(stripe.completed(conversation), secret=old_secret) == 400
    assert server.app.get("/api/conversations", Authorization=f"Bearer {old_token}") == 401
    # It was not used while the old key was still accepted.
    assert idle.get(f"{server.url}/keys", allow_redirects=False, timeout=60).status_code == 302


def issue_by(server: Server, traffic: Traffic) -> str:
    """A token that the server signs now, for the user of the traffic."""
    refresh = issue_refresh(traffic.conversation.user)  # by the old secret
    body = {"refresh": refresh}
    url = f"{server.url}/api/auth/token/refresh"
    answer: Any = requests.post(url, json=body, timeout=60).json()
    return str(answer["access"])


def expire(stripe: RunningSandbox, key: str) -> None:
    """What Stripe answers to a key that was rolled, once its overlap is over."""
    stripe.add_fault(key=key, status=401, code="api_key_expired")


def test_a_server_that_kept_an_expired_stripe_key_is_told_so(
    server: Server, conversation: Conversation
) -> None:
    """So the test above would fail if the new key were not used."""
    traffic = Traffic(server, conversation.user, conversation)
    assert traffic.ask_for_a_link() == 200
    expire(server.stripe, OLD["STRIPE_SECRET_KEY"])
    assert traffic.ask_for_a_link() == 500
    server.reload(**OLD | {"STRIPE_SECRET_KEY": NEW["STRIPE_SECRET_KEY"]})
    assert traffic.ask_for_a_link() == 200


def test_an_event_that_only_the_new_secret_signed_is_sent_again_and_taken_after_the_reload(
    server: Server, conversation: Conversation
) -> None:
    """Where the overlap was forgotten: Stripe repeats a refused delivery for three days."""
    event, secret = stripe.completed(conversation), NEW["STRIPE_WEBHOOK_SECRET"]
    assert server.app.deliver(event, secret=secret) == 400
    server.reload(**OLD | {"STRIPE_WEBHOOK_SECRET": secret})
    assert server.app.deliver(event, secret=secret) == 200
    conversation.refresh_from_db()
    assert conversation.payment_status == "paid"
