"""The database fails at every statement boundary of what moves money and keys.

After each failure the invariants hold, and the same request, sent again, succeeds. Each boundary
meets one kind of failure, in turn; with STRESS_BOUNDARIES (`make soak`) it meets every kind.
"""

from __future__ import annotations

import itertools
import os
import uuid
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.models import ApiKey
from billing import fast_path, invariants
from billing.models import CheckoutLink, Order
from billing.stripe import client as stripe_client
from billing.tests.failure_injection import POSTGRES_FAILURES, Failure, failing, fill_disk
from conversations.models import Conversation
from sandbox.testing import RunningSandbox
from testing import links
from testing import stripe_events as stripe
from testing.factories import ConversationFactory, UserFactory
from testing.keys import issued_key

pytestmark = [pytest.mark.http, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

FAILURES = list(POSTGRES_FAILURES.values())
ROUNDS = range(len(FAILURES) if os.environ.get("STRESS_BOUNDARIES") else 1)


class Action(ABC):
    """One request, which is sent again after a failure."""

    least = 4  # boundaries that it has at least, or the counting is wrong

    def __init__(self) -> None:
        self.conversation: Conversation = ConversationFactory.create()

    @abstractmethod
    def send(self) -> Any:
        """Send the request, the same each time, and return the response."""

    @abstractmethod
    def check(self, response: Any) -> None:
        """Assert that the last response is a success and everything is done once."""

    @property
    def api(self) -> APIClient:
        client = APIClient(raise_request_exception=False)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.token}")
        return client

    @property
    def token(self) -> str:
        if not hasattr(self, "_token"):
            self._token = issue_access(self.conversation.user)
        return self._token


class AskForLink(Action):
    least = 10
    headers: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        self.headers = {}
        assert self.token

    def send(self) -> Any:
        body = {"conversationId": self.conversation.pk}
        return self.api.post("/api/payments/link", body, format="json", headers=self.headers)

    def check(self, response: Any) -> None:
        assert response.status_code == 200, response.content
        session_id = response.json()["sessionId"]
        self.conversation.refresh_from_db()
        assert self.conversation.stripe_session_id == session_id
        assert self.conversation.payment_status == "pending"
        assert CheckoutLink.objects.open().filter(stripe_session_id=session_id).count() == 1


class RepeatLink(AskForLink):
    def __init__(self) -> None:
        super().__init__()
        self.headers = {"Idempotency-Key": uuid.uuid4().hex}

    def check(self, response: Any) -> None:
        super().check(response)
        assert CheckoutLink.objects.filter(conversation=self.conversation).count() == 1


class ReplaceLink(AskForLink):
    def __init__(self) -> None:
        super().__init__()
        assert self.send().status_code == 200


class DeliverPayment(Action):
    def __init__(self) -> None:
        super().__init__()
        self.event = links.completed(self.conversation)

    def send(self) -> Any:
        return stripe.deliver(self.event, Client(raise_request_exception=False))

    def check(self, response: Any) -> None:
        assert response.status_code == 200, response.content
        order = Order.objects.get(conversation=self.conversation)
        assert (order.status, order.is_duplicate, order.needs_review) == ("completed", False, False)
        assert ApiKey.objects.filter(user=self.conversation.user_id).count() == 1


class FulfilBySteps(DeliverPayment):
    """The ordinary path, with a refund in part that waits for the payment."""

    least = 15

    def __init__(self) -> None:
        super().__init__()
        intent = self.event["data"]["object"]["payment_intent"]
        refund = stripe.event("refund.created", stripe.refund(intent, 500))
        assert stripe.deliver(refund).status_code == 200

    def check(self, response: Any) -> None:
        super().check(response)
        assert Order.objects.get(conversation=self.conversation).refunded_cents == 500


class RevealKey(Action):
    door, status = "reveal", 200

    def __init__(self) -> None:
        super().__init__()
        stripe.deliver(links.completed(self.conversation))
        self.key = issued_key(Order.objects.get(conversation=self.conversation))
        self.headers = {"Idempotency-Key": uuid.uuid4().hex}
        assert self.token

    def send(self) -> Any:
        url = f"/api/api-keys/{self.key.pk}/{self.door}"
        return self.api.post(url, {}, format="json", headers=self.headers)

    def check(self, response: Any) -> None:
        assert response.status_code == self.status, response.content
        program = APIClient()
        program.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['key']}")
        assert program.get("/api/conversations").status_code == 200


class RotateKey(RevealKey):
    door, status = "rotate", 201

    def check(self, response: Any) -> None:
        super().check(response)
        assert ApiKey.objects.filter(user=self.conversation.user_id).count() == 2


class RefundOrder(Action):
    """The staff action, with a Stripe that keeps its idempotency keys."""

    least = 10
    requested: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        stripe.deliver(links.completed(self.conversation))
        self.order = Order.objects.get(conversation=self.conversation)
        self.client = Client(raise_request_exception=False)
        self.client.force_login(staff())
        self.form = {"token": str(uuid.uuid4()), "reason": "asked", "amount": "20"}
        self.form |= {"expected_refunded": "0"}
        RefundOrder.requested = {}

    def send(self) -> Any:
        return self.client.post(f"/admin/billing/order/{self.order.pk}/refund/", self.form)

    def check(self, response: Any) -> None:
        assert response.status_code == 302, response.content
        assert list(self.requested.values()) == [2000]
        action = self.order.support_actions.get()
        assert (action.succeeded, action.stripe_refund_id) == (True, "re_1")


def create_refund(payment_intent_id: str, *, amount: int, idempotency_key: str) -> str:
    RefundOrder.requested[idempotency_key] = amount
    return f"re_{list(RefundOrder.requested).index(idempotency_key) + 1}"


def staff() -> User:
    found = User.objects.filter(is_superuser=True).first()
    return found or UserFactory.create(is_staff=True, is_superuser=True)


ACTIONS = (
    AskForLink,
    RepeatLink,
    ReplaceLink,
    DeliverPayment,
    FulfilBySteps,
    RevealKey,
    RotateKey,
    RefundOrder,
)


def fail_everywhere(action_class: type[Action], failures: list[Failure]) -> None:
    """Let the failures happen in turn, each at the next boundary, until the action has no more."""
    for number, failure in enumerate(itertools.cycle(failures), start=1):
        action = action_class()
        response = None
        with failing(failure, number) as boundaries, suppress(DatabaseError, InterfaceError):
            response = action.send()  # the error page may need the database too
        assert list(invariants.violations()) == [], number
        action.check(action.send() if boundaries.happened else response)
        assert list(invariants.violations()) == [], number
        if not boundaries.happened:
            assert number > action.least
            return


@pytest.mark.postgres
@pytest.mark.parametrize("first", ROUNDS)
@pytest.mark.parametrize("action_class", ACTIONS)
def test_the_database_may_fail_at_every_statement_boundary(
    action_class: type[Action],
    first: int,
    local_stripe: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stripe_client, "create_refund", create_refund)
    fail_everywhere(action_class, FAILURES[first:] + FAILURES[:first])


@pytest.mark.sqlite
@pytest.mark.parametrize("action_class", ACTIONS)
def test_the_disk_may_be_full_at_every_statement_boundary(
    action_class: type[Action], local_stripe: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_client, "create_refund", create_refund)
    fail_everywhere(action_class, [fill_disk])


def test_the_payment_takes_the_fast_path_where_there_is_one() -> None:
    taken: list[bool] = []
    fast = fast_path.try_fulfil

    def watched(event: stripe.Json) -> bool:
        taken.append(fast(event))
        return taken[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_path, "try_fulfil", watched)
        for action in (DeliverPayment(), FulfilBySteps()):
            taken.clear()
            action.check(action.send())
            is_fast = type(action) is DeliverPayment and connection.vendor == "postgresql"
            assert taken == [is_fast]
