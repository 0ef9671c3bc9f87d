"""Events with members missing, wrong, huge or odd, all rightly signed, among valid ones.

Each is stored, or refused as malformed, or fails with a fault that its row names; and whatever was
delivered, valid events of other payments are handled and all invariants hold.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from django.test import Client

from billing import invariants
from billing.models import EventStatus, StripeEvent
from testing import hostile_events
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.links import linked_session

# `make soak` asks for 100 times a thousand. A failure is repeated by `-k '[7]'` with FUZZ_SEEDS=7.
SEEDS = range(1, int(os.environ.get("FUZZ_SEEDS", "1")) + 1)
DELIVERIES = int(os.environ.get("FUZZ_DELIVERIES", "400"))

# What an event may fail with: a value that one of our objects must have and that can't be read.
READABLE_FAULT = re.compile(r"ValueError: The .* has no (?:readable \w+|id)\.", re.DOTALL)

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]


def events(random: Random) -> list[stripe.Json]:
    """A history of two payments of one conversation, and of one of another customer."""
    first, other = ConversationFactory.create(), ConversationFactory.create()
    found: list[stripe.Json] = []
    for conversation, linked in ((first, True), (first, random.random() < 0.7), (other, True)):
        session = linked_session(conversation) if linked else stripe.session(conversation)
        found += history(random, session, stripe.declined_intent(conversation))
    return found


def history(random: Random, session: stripe.Json, intent: stripe.Json) -> Iterator[stripe.Json]:
    payment = session["payment_intent"]
    unpaid = {**session, "payment_status": "unpaid"}
    declined = {**intent, "id": payment, "metadata": session["metadata"]}
    yield stripe.event("checkout.session.completed", random.choice([session, unpaid]))
    dispute = stripe.dispute(payment)
    refund = stripe.refund(payment, random.choice([500, 2000]), status="pending")
    others: list[tuple[str, Any]] = [
        ("checkout.session.async_payment_succeeded", session),
        ("checkout.session.async_payment_failed", unpaid),
        ("checkout.session.expired", {**unpaid, "status": "expired"}),
        ("payment_intent.payment_failed", declined),
        ("refund.created", refund),
        ("refund.updated", {**refund, "status": "succeeded"}),
        ("charge.refunded", stripe.refunded_charge(payment, refund["amount"])),
        ("charge.dispute.created", dispute),
        ("charge.dispute.closed", {**dispute, "status": random.choice(["won", "lost"])}),
    ]
    for kind, stripe_object in random.sample(others, random.randrange(len(others))):
        yield stripe.event(kind, stripe_object)


def deliver(client: Client, body: str) -> str:
    """Post a signed body. Returns what became of it, which must be one of three things."""
    answer = client.post(
        stripe.URL,
        body,
        content_type="application/json",
        headers={"Stripe-Signature": stripe.signature(body)},
    )
    if answer.status_code == 200:
        return "accepted"
    code = answer.json()["code"]
    if answer.status_code == 500:
        failed = StripeEvent.objects.defer("payload").order_by("-updated_at").first()
        assert failed is not None
        assert failed.status == EventStatus.FAILED
        assert READABLE_FAULT.fullmatch(failed.last_error), failed.last_error
    assert (answer.status_code, code) in [(400, "malformed_event"), (500, "event_not_processed")]
    return str(code)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_signed_event_is_an_unexpected_failure_or_breaks_an_invariant(
    seed: int, request: pytest.FixtureRequest
) -> None:
    logging.disable()  # each failure has a traceback
    request.addfinalizer(lambda: logging.disable(logging.NOTSET))
    random = Random(seed)  # noqa: S311 - it is to be repeatable
    client = Client()
    results: Counter[str] = Counter()
    while results.total() < DELIVERIES:
        valid = events(random)
        for body in hostile_events.bodies(random, valid):
            results[deliver(client, body)] += 1
        # Sent again under other ids, the valid events are handled, whatever came before them.
        for event in valid:
            again = {**event, "id": f"evt_{random.getrandbits(64):x}"}
            assert stripe.deliver(again, client).status_code == 200, again
    assert [str(violation) for violation in invariants.violations()] == []
    assert set(results) == {"accepted", "malformed_event", "event_not_processed"}
    print(  # noqa: T201 - shown by `make soak`
        f"seed {seed}: {results.total()} deliveries, {dict(results)}"
    )
