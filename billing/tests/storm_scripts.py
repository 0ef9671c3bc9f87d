"""What the storm tells of each payment, and how it must end whatever the storm does to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from billing.tests import stripe_events as stripe
from conversations.models import Conversation

Json = stripe.Json
SECOND = 60  # between two things Stripe says of one dispute


@dataclass
class Payment:
    """One conversation's part in the storm. Nothing of it comes from the database."""

    conversation_id: int
    user_id: int
    script: str = ""
    session_id: str = ""
    events: list[Json] = field(default_factory=list)
    expected: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        self.conversation = Conversation(pk=self.conversation_id, user_id=self.user_id)
        self.session = stripe.session(self.conversation)
        self.session_id = self.session["id"]
        self.intent = str(self.session["payment_intent"])

    def checkout(self, kind: str, **facts: object) -> None:
        self.tell(f"checkout.session.{kind}", {**self.session, **facts})

    def tell(self, kind: str, stripe_object: Json) -> None:
        created = 1_700_000_000 + SECOND * len(self.events)
        self.events.append(stripe.event(kind, stripe_object, created=created))

    def refund(self, *statuses: str, amount: int = 2000) -> None:
        refund = stripe.refund(self.intent, amount)
        for status in statuses:
            kind = "refund.failed" if status == "failed" else "refund.updated"
            self.tell(kind, {**refund, "status": status})
        self.tell("charge.refunded", stripe.refunded_charge(self.intent, amount))

    def dispute(self, *statuses: str) -> None:
        dispute = stripe.dispute(self.intent)
        for status in statuses:
            self.tell("charge.dispute.updated", {**dispute, "status": status})


# The end of a payment: its orders (duplicates in capitals), conversation, keys, refunded cents.
PAID = (("completed",), "paid", ("live",), 0)
ENDED = (("completed",), "unpaid", ("revoked",))
NOTHING = ((), "pending", (), 0)


def card(p: Payment) -> object:
    p.checkout("completed")
    return PAID


def declined_first(p: Payment) -> object:
    intent = stripe.declined_intent(p.conversation, id=p.intent)
    p.tell("payment_intent.payment_failed", intent)
    p.tell("payment_intent.payment_failed", intent)
    return card(p)


def delayed(p: Payment) -> object:
    p.checkout("completed", payment_status="unpaid")
    p.checkout("async_payment_succeeded")
    return PAID


def delayed_and_failed(p: Payment) -> object:
    p.checkout("completed", payment_status="unpaid")
    p.checkout("async_payment_failed", payment_status="unpaid")
    return ("failed",), "failed", (), 0


def failure_beside_success(p: Payment) -> object:
    p.checkout("async_payment_failed", payment_status="unpaid")
    return card(p)


def expired(p: Payment) -> object:
    p.checkout("expired", status="expired", payment_status="unpaid")
    return (), "failed", (), 0


def paid_twice(p: Payment) -> object:
    second = stripe.session(p.conversation)
    p.tell("checkout.session.completed", second)
    p.checkout("completed")
    return ("COMPLETED", "completed"), "paid", ("live",), 0


def refunded(p: Payment) -> object:
    p.checkout("completed")
    p.refund("pending", "succeeded")
    return (*ENDED, 2000)


def delayed_and_refunded(p: Payment) -> object:
    delayed(p)
    p.refund("succeeded")
    return (*ENDED, 2000)


def refunded_in_part(p: Payment) -> object:
    p.checkout("completed")
    p.refund("succeeded", amount=500)
    return (*PAID[:3], 500)


def refund_failed(p: Payment) -> object:
    p.checkout("completed")
    p.refund("pending", "succeeded", "failed")
    return PAID


def dispute_open(p: Payment) -> object:
    p.checkout("completed")
    p.dispute("warning_needs_response", "needs_response", "under_review")
    return ("completed",), "paid", ("suspended",), 0


def dispute_won(p: Payment) -> object:
    p.checkout("completed")
    p.dispute("needs_response", "under_review", "won")
    return PAID


def dispute_lost(p: Payment) -> object:
    p.checkout("completed")
    p.dispute("needs_response", "lost")
    return (*ENDED, 0)


def appeal_won(p: Payment) -> object:
    p.checkout("completed")
    p.dispute("needs_response", "lost", "appeal_needs_response", "appeal_under_review", "won")
    return PAID


def inquiry(p: Payment) -> object:
    p.checkout("completed")
    p.dispute("warning_needs_response", "warning_closed")
    return PAID


def of_another_product(p: Payment) -> object:
    p.checkout("completed", metadata={})
    p.refund("succeeded")
    return NOTHING


def of_the_wrong_mode(p: Payment) -> object:
    p.checkout("completed", livemode=True)
    return NOTHING


SCRIPTS: tuple[Callable[[Payment], object], ...] = (
    card,
    declined_first,
    delayed,
    delayed_and_failed,
    failure_beside_success,
    expired,
    paid_twice,
    refunded,
    delayed_and_refunded,
    refunded_in_part,
    refund_failed,
    dispute_open,
    dispute_won,
    dispute_lost,
    appeal_won,
    inquiry,
    of_another_product,
    of_the_wrong_mode,
)


def payments(rows: list[tuple[int, int]]) -> list[Payment]:
    """A payment for each (conversation id, user id), the scripts in turn."""
    made = []
    for number, (conversation_id, user_id) in enumerate(rows):
        script = SCRIPTS[number % len(SCRIPTS)]
        payment = Payment(conversation_id, user_id, script.__name__)
        expected = script(payment)
        assert isinstance(expected, tuple)
        payment.expected = expected
        made.append(payment)
    return made


def deliveries(told: list[Payment], *, seed: int) -> list[Json]:
    """Every event two to four times, all of them shuffled."""
    dice = random.Random(seed)  # noqa: S311 - not a secret
    events = [event for payment in told for event in payment.events]
    repeated = [event for event in events for _ in range(dice.randint(2, 4))]
    dice.shuffle(repeated)
    return repeated
