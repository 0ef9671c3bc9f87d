"""The transition table: every state of a payment against every handled event.

A cell is the state that the event leads to, `=` if it is settled and nothing visible changes, or
`waits` if it is unmatched and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from billing import receipts
from billing.events.handlers import HANDLERS
from billing.models import EventStatus, Order, OrderStatus, StripeEvent
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.invariants import assert_invariants
from testing.keys import issued_key
from testing.links import linked_session

pytestmark = pytest.mark.django_db

# The order (duplicates in capitals) and whether it is reversed, the conversation, the key.
Seen = tuple[str, str, str]

STATES: dict[str, Seen] = {
    "new": ("", "unpaid", ""),
    "link": ("", "pending", ""),
    "expired": ("", "failed", ""),
    "pending": ("pending", "pending", ""),
    "failed": ("failed", "failed", ""),
    "paid": ("completed", "paid", "live"),
    "disputed": ("completed", "paid", "suspended"),
    "refunded": ("completed, reversed", "unpaid", "revoked"),
    "lost": ("completed, reversed", "unpaid", "revoked"),
    "disputed, refunded": ("completed, reversed", "unpaid", "revoked"),
    # The conversation was paid by another session before.
    "second": ("", "paid", ""),
    "second pending": ("pending", "paid", ""),
    "second failed": ("failed", "paid", ""),
    "duplicate": ("COMPLETED", "paid", ""),
    "dup. refunded": ("COMPLETED, reversed", "paid", ""),
    "dup. lost": ("COMPLETED, reversed", "paid", ""),
    # The first of two payments was refunded: the state of the first, and of the second.
    "first refunded": ("completed, reversed", "paid", "revoked"),
    "promoted": ("completed", "paid", "live"),
}

# Rows are events, columns the states before the event.
TABLE = """
event             | new     | link    | expired | pending | failed | paid     | disputed | refunded | lost     | disputed, refunded | second         | second pending | second failed | duplicate     | dup. refunded | dup. lost | first refunded | promoted
completed, paid   | paid    | paid    | paid    | paid    | paid   | =        | =        | =        | =        | =                  | duplicate      | duplicate      | duplicate     | =             | =             | =         | =              | =
completed, unpaid | pending | pending | pending | =       | =      | =        | =        | =        | =        | =                  | second pending | =              | =             | =             | =             | =         | =              | =
async succeeded   | paid    | paid    | paid    | paid    | paid   | =        | =        | =        | =        | =                  | duplicate      | duplicate      | duplicate     | =             | =             | =         | =              | =
async failed      | failed  | failed  | failed  | failed  | =      | =        | =        | =        | =        | =                  | second failed  | second failed  | =             | =             | =             | =         | =              | =
session expired   | =       | expired | =       | =       | =      | =        | =        | =        | =        | =                  | =              | =              | =             | =             | =             | =         | =              | =
card declined     | expired | expired | =       | =       | =      | =        | =        | =        | =        | =                  | =              | =              | =             | =             | =             | =         | =              | =
declined (alias)  | expired | expired | =       | =       | =      | =        | =        | =        | =        | =                  | =              | =              | =             | =             | =             | =         | =              | =
declined, former  | =       | =       | =       | =       | =      | =        | =        | =        | =        | =                  | =              | =              | =             | =             | =             | =         | =              | =
refund created    | waits   | waits   | waits   | =       | =      | refunded | refunded | =        | =        | =                  | waits          | =              | =             | dup. refunded | =             | =         | =              | refunded
refund in part    | waits   | waits   | waits   | =       | =      | =        | =        | =        | =        | =                  | waits          | =              | =             | =             | =             | =         | =              | =
refund updated    | waits   | waits   | waits   | =       | =      | refunded | refunded | =        | =        | =                  | waits          | =              | =             | dup. refunded | =             | =         | =              | refunded
refund failed     | waits   | waits   | waits   | =       | =      | =        | =        | paid     | =        | disputed           | waits          | =              | =             | =             | duplicate     | =         | duplicate      | =
old refund update | waits   | waits   | waits   | =       | =      | refunded | refunded | =        | =        | =                  | waits          | =              | =             | dup. refunded | =             | =         | =              | refunded
charge refunded   | waits   | waits   | waits   | =       | =      | refunded | refunded | =        | =        | =                  | waits          | =              | =             | dup. refunded | =             | =         | =              | refunded
charge, in part   | waits   | waits   | waits   | =       | =      | =        | =        | =        | =        | =                  | waits          | =              | =             | =             | =             | =         | =              | =
inquiry           | waits   | waits   | waits   | =       | =      | =        | =        | =        | =        | =                  | waits          | =              | =             | =             | =             | =         | =              | =
disputed          | waits   | waits   | waits   | =       | =      | disputed | =        | =        | =        | =                  | waits          | =              | =             | =             | =             | =         | =              | disputed
funds withdrawn   | waits   | waits   | waits   | =       | =      | disputed | =        | =        | =        | =                  | waits          | =              | =             | =             | =             | =         | =              | disputed
appealed          | waits   | waits   | waits   | =       | =      | disputed | =        | =        | disputed | =                  | waits          | =              | =             | =             | =             | duplicate | =              | disputed
dispute won       | waits   | waits   | waits   | =       | =      | =        | paid     | =        | paid     | =                  | waits          | =              | =             | =             | =             | duplicate | =              | =
funds reinstated  | waits   | waits   | waits   | =       | =      | =        | paid     | =        | paid     | =                  | waits          | =              | =             | =             | =             | duplicate | =              | =
dispute lost      | waits   | waits   | waits   | =       | =      | lost     | lost     | =        | =        | =                  | waits          | =              | =             | dup. lost     | =             | =         | =              | lost
dispute prevented | waits   | waits   | waits   | =       | =      | =        | paid     | =        | paid     | =                  | waits          | =              | =             | =             | =             | duplicate | =              | =
fraud warning     | waits   | waits   | waits   | =       | =      | =        | =        | =        | =        | =                  | waits          | =              | =             | =             | =             | =         | =              | =
"""  # noqa: E501 - a table
(_, *HEAD), *ROWS = ([cell.strip() for cell in line.split("|")] for line in TABLE.split("\n")[1:-1])
CASES = [
    pytest.param(state, row[0], cell, id=f"{row[0]} when {state}")
    for row in ROWS
    for state, cell in zip(HEAD, row[1:], strict=True)
]


@dataclass
class Payment:
    """One Checkout Session and its events, all about the same refund and dispute."""

    conversation: Conversation
    has_link: bool = True

    def __post_init__(self) -> None:
        self.former = linked_session(self.conversation)  # of a link that was replaced
        self.session = (linked_session if self.has_link else stripe.session)(self.conversation)
        self.intent = self.session["payment_intent"]
        self.refund_id, self.dispute_id = f"re_of_{self.intent}", f"du_of_{self.intent}"

    def checkout(self, kind: str, **fields: str) -> stripe.Json:
        return stripe.event(f"checkout.session.{kind}", {**self.session, **fields})

    def declined(self, kind: str, session: stripe.Json | None = None) -> stripe.Json:
        metadata = (session or self.session)["metadata"]
        intent = stripe.declined_intent(self.conversation, id=self.intent, metadata=metadata)
        return stripe.event(kind, intent)

    def refund(self, kind: str, status: str = "succeeded") -> stripe.Json:
        refund = stripe.refund(self.intent, id=self.refund_id, status=status)
        return stripe.event(kind, refund)

    def charge(self, refunded: int) -> stripe.Json:
        return stripe.event("charge.refunded", stripe.refunded_charge(self.intent, refunded))

    def dispute(self, kind: str, status: str) -> stripe.Json:
        dispute = stripe.dispute(self.intent, status, id=self.dispute_id)
        return stripe.event(f"charge.dispute.{kind}", dispute)


EVENTS: dict[str, Callable[[Payment], stripe.Json]] = {
    "completed, paid": lambda p: p.checkout("completed"),
    "completed, unpaid": lambda p: p.checkout("completed", payment_status="unpaid"),
    "async succeeded": lambda p: p.checkout("async_payment_succeeded"),
    "async failed": lambda p: p.checkout("async_payment_failed", payment_status="unpaid"),
    "session expired": lambda p: p.checkout("expired", status="expired", payment_status="unpaid"),
    "card declined": lambda p: p.declined("payment_intent.payment_failed"),
    "declined (alias)": lambda p: p.declined("payment_intent.failed"),
    "declined, former": lambda p: p.declined("payment_intent.payment_failed", p.former),
    "refund created": lambda p: p.refund("refund.created", "pending"),
    "refund in part": lambda p: stripe.event("refund.created", stripe.refund(p.intent, 500)),
    "refund updated": lambda p: p.refund("refund.updated"),
    "refund failed": lambda p: p.refund("refund.failed", "failed"),
    "old refund update": lambda p: p.refund("charge.refund.updated"),
    "charge refunded": lambda p: p.charge(2000),
    "charge, in part": lambda p: p.charge(500),
    "inquiry": lambda p: p.dispute("created", "warning_needs_response"),
    "disputed": lambda p: p.dispute("created", "needs_response"),
    "funds withdrawn": lambda p: p.dispute("funds_withdrawn", "under_review"),
    "appealed": lambda p: p.dispute("updated", "appeal_needs_response"),
    "dispute won": lambda p: p.dispute("closed", "won"),
    "funds reinstated": lambda p: p.dispute("funds_reinstated", "won"),
    "dispute lost": lambda p: p.dispute("closed", "lost"),
    "dispute prevented": lambda p: p.dispute("updated", "prevented"),
    "fraud warning": lambda p: stripe.fraud_warning(p.intent),
}

OTHER = "other: "  # of the conversation's other session
OTHER_PAID = OTHER + "completed, paid"
BEFORE: dict[str, tuple[str, ...]] = {
    "new": (),
    "link": (),
    "expired": ("session expired",),
    "pending": ("completed, unpaid",),
    "failed": ("async failed",),
    "paid": ("completed, paid",),
    "disputed": ("completed, paid", "disputed"),
    "refunded": ("completed, paid", "refund updated"),
    "lost": ("completed, paid", "dispute lost"),
    "disputed, refunded": ("completed, paid", "disputed", "refund updated"),
    "second": (OTHER_PAID,),
    "second pending": (OTHER_PAID, "completed, unpaid"),
    "second failed": (OTHER_PAID, "async failed"),
    "duplicate": (OTHER_PAID, "completed, paid"),
    "dup. refunded": (OTHER_PAID, "completed, paid", "refund updated"),
    "dup. lost": (OTHER_PAID, "completed, paid", "dispute lost"),
    "first refunded": ("completed, paid", OTHER_PAID, "refund updated"),
    "promoted": (OTHER_PAID, "completed, paid", OTHER + "refund updated"),
}


def put_into(state: str, payment: Payment) -> None:
    """Bring a payment into a state, by events where possible."""
    conversation = payment.conversation
    if state != "new":
        conversation.mark_pending(payment.session["id"])
    other = Payment(conversation)
    for name in BEFORE[state]:
        about = other if name.startswith(OTHER) else payment
        assert stripe.deliver(EVENTS[name.removeprefix(OTHER)](about)).status_code == 200
    assert seen(payment) == STATES[state]


def seen(payment: Payment) -> Seen:
    order = Order.objects.filter(stripe_session_id=payment.session["id"]).first()
    payment.conversation.refresh_from_db()
    status = ""
    if order is not None:
        status = order.status.upper() if order.is_duplicate else order.status
        if order.status == OrderStatus.COMPLETED and not order.is_good:
            status += ", reversed"
    return status, payment.conversation.payment_status, key_state(order)


def key_state(order: Order | None) -> str:
    if order is None or order.grant is None:
        return ""
    state = issued_key(order).state
    if order.is_duplicate:  # it had a grant before another payment took its place
        assert state == "revoked"
        return ""
    return "live" if state == "active" else str(state)


@pytest.mark.parametrize(("state", "event", "cell"), CASES)
def test_every_event_in_every_state(
    conversation: Conversation, state: str, event: str, cell: str
) -> None:
    payment = Payment(conversation, has_link=state != "new")
    put_into(state, payment)
    body = EVENTS[event](payment)
    assert stripe.deliver(body).status_code == 200
    stored = StripeEvent.objects.get(event_id=body["id"])
    expected = EventStatus.UNMATCHED if cell == "waits" else EventStatus.PROCESSED
    assert (stored.status, stored.outcome != "") == (expected, True)
    assert seen(payment) == STATES[state if cell in ("=", "waits") else cell]
    assert_invariants(conversation)


def test_the_table_has_every_state_and_every_handled_event(conversation: Conversation) -> None:
    assert list(STATES) == HEAD
    assert [row[0] for row in ROWS] == list(EVENTS)
    payment = Payment(conversation)
    kinds = {build(payment)["type"] for build in EVENTS.values()}
    # A charge's event changes no state: see test_receipts.py.
    assert kinds == set(HANDLERS) - set(receipts.TYPES)
