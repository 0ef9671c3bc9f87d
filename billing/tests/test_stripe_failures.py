"""Stripe fails in every way, and the clock jumps: nothing is done twice, and a retry succeeds."""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.models import ApiKey
from billing import checkout, invariants
from billing.models import CheckoutLink, Order
from billing.stripe import client as stripe_client
from billing.tests.conftest import FixedAnswer
from conversations.models import Conversation
from sandbox.testing import RunningSandbox
from support.models import SupportAction
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import ConversationFactory, UserFactory
from testing.keys import issued_key

pytestmark = [pytest.mark.http, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def without_retries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK does not retry by itself: every failure reaches us at once."""
    monkeypatch.setattr(stripe_client, "RETRIES", 0)
    stripe_client._client_for.cache_clear()
    yield
    stripe_client._client_for.cache_clear()


class Action(ABC):
    """Something that asks Stripe, and can be tried again."""

    def __init__(self, sandbox: RunningSandbox, conversation: Conversation) -> None:
        self.sandbox, self.conversation = sandbox, conversation
        self.customer = checkout.Customer.of(conversation.user)
        self.api = bearer(issue_access(conversation.user))

    @abstractmethod
    def run(self) -> bool:
        """Do it; whether it succeeded."""

    @abstractmethod
    def check(self) -> None:
        """Assert that it is done, once."""


class AskForLink(Action):
    key: str | None = None
    answer: Any

    def run(self) -> bool:
        headers = {} if self.key is None else {"Idempotency-Key": self.key}
        body = {"conversationId": self.conversation.pk}
        url = "/api/payments/link"
        self.answer = self.api.post(url, body, format="json", headers=headers)
        return bool(self.answer.status_code == 200)

    def check(self) -> None:
        session_id = self.answer.json()["sessionId"]
        assert self.sandbox.object(session_id)["status"] == "open"
        self.conversation.refresh_from_db()
        assert self.conversation.stripe_session_id == session_id
        assert CheckoutLink.objects.open().filter(stripe_session_id=session_id).exists()


class RepeatLink(AskForLink):
    """Asks for the session of an earlier request."""

    key = "a-key"

    def __init__(self, sandbox: RunningSandbox, conversation: Conversation) -> None:
        super().__init__(sandbox, conversation)
        assert self.run()

    def check(self) -> None:
        super().check()
        assert CheckoutLink.objects.count() == 1


class ReturnFromCheckout(Action):
    """The success page, while the webhook is late."""

    def __init__(self, sandbox: RunningSandbox, conversation: Conversation) -> None:
        super().__init__(sandbox, conversation)
        self.session_id = checkout.start_checkout(self.customer, conversation.pk).id
        sandbox.pay(self.session_id)
        self.browser = Client()
        self.browser.force_login(conversation.user)

    def run(self) -> bool:
        page = self.browser.get("/payments/success", {"session_id": self.session_id})
        return "Thank you" in page.content.decode()

    def check(self) -> None:
        order = Order.objects.get()
        assert (order.stripe_session_id, order.status) == (self.session_id, "completed")
        assert ApiKey.objects.count() == 1


class Reconcile(ReturnFromCheckout):
    def run(self) -> bool:
        out = StringIO()
        with suppress(CommandError):
            call_command("reconcile_orders", "--older-than", "0", stdout=out)
        return "order completed" in out.getvalue()


class Refund(Action):
    """The staff action."""

    def __init__(self, sandbox: RunningSandbox, conversation: Conversation) -> None:
        super().__init__(sandbox, conversation)
        self.session_id = checkout.start_checkout(self.customer, conversation.pk).id
        sandbox.pay(self.session_id)
        checkout.confirm(conversation.user_id, self.session_id)
        self.order = Order.objects.get()
        self.browser = Client()
        self.browser.force_login(UserFactory.create(is_staff=True, is_superuser=True))
        amount = f"{self.order.amount_cents / 100:.2f}"
        self.form = {"token": str(uuid.uuid4()), "reason": "asked", "amount": amount}
        self.form |= {"expected_refunded": "0"}

    def run(self) -> bool:
        url = f"/admin/billing/order/{self.order.pk}/refund/"
        return self.browser.post(url, self.form).status_code == 302

    def check(self) -> None:
        intent = self.sandbox.object(self.order.stripe_payment_intent_id or "")
        charge = self.sandbox.object(intent["latest_charge"])
        assert charge["amount_refunded"] == self.order.amount_cents
        action = SupportAction.objects.get()
        assert action.succeeded
        assert action.stripe_refund_id.startswith("re_")


Stripe = tuple[RunningSandbox, Settings, type[FixedAnswer]]


@contextmanager
def sandbox_fault(stripe_: Stripe, **fault: Any) -> Iterator[None]:
    sandbox, settings, _ = stripe_
    settings.STRIPE_API_BASE = sandbox.url
    sandbox.add_fault(**fault)
    yield
    sandbox.clear_faults()


@contextmanager
def answering(stripe_: Stripe, status: int, body: bytes) -> Iterator[None]:
    sandbox, settings, server = stripe_
    server.answer = (status, body)
    settings.STRIPE_API_BASE = server.url
    yield
    settings.STRIPE_API_BASE = sandbox.url


@contextmanager
def without_tls(stripe_: Stripe) -> Iterator[None]:
    """The client speaks TLS to a server that does not."""
    sandbox, settings, _ = stripe_
    settings.STRIPE_API_BASE = sandbox.url.replace("http:", "https:")
    yield
    settings.STRIPE_API_BASE = sandbox.url


def anothers() -> bytes:
    """A paid session of somebody else."""
    another = stripe.session(ConversationFactory.create())
    return json.dumps({**another, "url": "https://example.com/pay"}).encode()


FAULTS: dict[str, Callable[[Stripe], Any]] = {
    "resets the connection": lambda it: sandbox_fault(it, drop="request"),
    "loses its answer": lambda it: sandbox_fault(it, drop="answer"),
    "is busy": lambda it: sandbox_fault(it, status=429),
    "fails": lambda it: sandbox_fault(it, status=500),
    "answers nothing": lambda it: answering(it, 200, b""),
    "answers half": lambda it: answering(it, 200, b'{"id": "cs_test_1", "obj'),
    "answers a page": lambda it: answering(it, 502, b"<html>Bad gateway</html>"),
    "answers another session": lambda it: answering(it, 200, anothers()),
    "has no certificate": without_tls,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "action_class", [AskForLink, RepeatLink, ReturnFromCheckout, Reconcile, Refund]
)
def test_stripe_may_fail_in_every_way_and_the_retry_succeeds(
    action_class: type[Action],
    fault: str,
    conversation: Conversation,
    fixed_answer: type[FixedAnswer],
    local_stripe: RunningSandbox,
    settings: Settings,
) -> None:
    settings.STRIPE_API_BASE = local_stripe.url
    action = action_class(local_stripe, conversation)
    before = ApiKey.objects.count()
    with FAULTS[fault]((local_stripe, settings, fixed_answer)):
        assert not action.run()
    assert list(invariants.violations()) == []
    assert ApiKey.objects.count() == before
    assert action.run()
    action.check()
    assert list(invariants.violations()) == []


# A session may be paid for a day, and the clock of the local Stripe jumps too.
@pytest.mark.parametrize("jump", [timedelta(hours=-23), timedelta(minutes=-10), timedelta(days=1)])
def test_a_clock_that_jumps_changes_no_result(
    conversation: Conversation, local_stripe: RunningSandbox, jump: timedelta
) -> None:
    """The application's clock jumps; those of Stripe and the database do not."""
    user: User = conversation.user
    customer = checkout.Customer.of(user)
    with time_machine.travel(timezone.now() + jump):
        session_id = checkout.start_checkout(customer, conversation.pk).id
    local_stripe.pay(session_id)
    local_stripe.wait_idle()
    events = local_stripe.events()
    with time_machine.travel(timezone.now() + jump):
        assert {stripe.deliver(event).status_code for event in events} == {200}
    assert {stripe.deliver(event).status_code for event in reversed(events)} == {200}
    order = Order.objects.get()
    assert (order.status, order.needs_review) == ("completed", False)
    assert CheckoutLink.objects.open().count() == 0
    url, token = f"/api/api-keys/{issued_key(order).pk}/reveal", {"Idempotency-Key": "once"}
    with time_machine.travel(timezone.now() + jump):
        first = bearer(issue_access(user)).post(url, headers=token)
    assert first.status_code == 200
    again = bearer(issue_access(user)).post(url, headers=token)
    assert again.status_code in (200, 409)  # the minute in which it is repeated may be over
    assert again.json().get("key", first.json()["key"]) == first.json()["key"]
    assert bearer(first.json()["key"]).get("/api/conversations").status_code == 200
    rotated = bearer(issue_access(user)).post(url.replace("reveal", "rotate"))
    assert rotated.status_code == 201
    assert bearer(rotated.json()["key"]).get("/api/conversations").status_code == 200
    assert list(invariants.violations()) == []
