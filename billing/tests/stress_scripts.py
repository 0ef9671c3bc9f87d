"""The scripts of the stress test: the events of each payment, and the state it must end in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from conversations.models import Conversation
from testing import stripe_events as stripe

Json = stripe.Json
INTERVAL = 60  # seconds between two events about one dispute


@dataclass
class Payment:
    """The events of one conversation. Nothing of it is read from the database."""

    conversation_id: int
    user_id: int
    script: str = ""
    session_id: str = ""
    events: list[Json] = field(default_factory=list)
    later: list[Json] = field(default_factory=list)
    """Events that happen only after `events` were handled: a new link, or a refunded duplicate."""
    expected: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        self.conversation = Conversation(pk=self.conversation_id, user_id=self.user_id)
        self.current = self.events
        self.begin_session()
        self.session_id = self.session["id"]

    def begin_session(self) -> None:
        self.session = stripe.session(self.conversation)
        self.intent = str(self.session["payment_intent"])

    def continue_later(self) -> None:
        self.current = self.later

    @property
    def all_events(self) -> list[Json]:
        return self.events + self.later

    def checkout(self, kind: str, **fields: object) -> None:
        self.add(f"checkout.session.{kind}", {**self.session, **fields})

    def add(self, kind: str, stripe_object: Json) -> None:
        created = 1_700_000_000 + INTERVAL * len(self.all_events)
        self.current.append(stripe.event(kind, stripe_object, created=created))

    def refund(self, *statuses: str, amount: int = 2000, before: int = 0) -> None:
        """A refund with these statuses, and its charge; `before` was refunded earlier."""
        refund = stripe.refund(self.intent, amount)
        for status in statuses:
            kind = "refund.failed" if status == "failed" else "refund.updated"
            self.add(kind, {**refund, "status": status})
        self.add("charge.refunded", stripe.refunded_charge(self.intent, before + amount))

    def dispute(self, *statuses: str) -> None:
        dispute = stripe.dispute(self.intent, id=f"du_of_{self.intent}")
        for status in statuses:
            self.add("charge.dispute.updated", {**dispute, "status": status})


# The expected state: orders (duplicates in capitals), conversation, keys, refunded cents.
PAID = (("completed",), "paid", ("live",), 0)
ENDED = (("completed",), "unpaid", ("revoked",))
ANEW = (("completed", "completed"), "paid", ("live", "revoked"), 2000)
NOTHING = ((), "pending", (), 0)


def card(p: Payment) -> object:
    p.checkout("completed")
    return PAID


def free(p: Payment) -> object:
    nothing = {"amount_total": 0, "payment_intent": None}
    p.checkout("completed", payment_status="no_payment_required", **nothing)
    return PAID


def declined_first(p: Payment) -> object:
    intent = stripe.declined_intent(p.conversation, id=p.intent)
    p.add("payment_intent.payment_failed", intent)
    p.add("payment_intent.payment_failed", intent)
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
    p.add("checkout.session.completed", second)
    p.checkout("completed")
    return ("COMPLETED", "completed"), "paid", ("live",), 0


def paid_twice_and_duplicate_refunded(p: Payment) -> object:
    p.checkout("completed")
    p.continue_later()
    p.begin_session()
    p.checkout("completed")
    p.refund("pending", "succeeded")
    return ("COMPLETED", "completed"), "paid", ("live",), 2000


def paid_twice_and_first_refunded(p: Payment) -> object:
    p.checkout("completed")
    p.continue_later()
    p.refund("succeeded")
    p.begin_session()
    p.checkout("completed")
    return ANEW


def refunded(p: Payment) -> object:
    p.checkout("completed")
    p.refund("pending", "succeeded")
    return (*ENDED, 2000)


def refunded_and_bought_again(p: Payment) -> object:
    refunded(p)
    p.continue_later()
    p.begin_session()
    p.checkout("completed")
    return ANEW


def delayed_and_refunded(p: Payment) -> object:
    delayed(p)
    p.refund("succeeded")
    return (*ENDED, 2000)


def refunded_in_part(p: Payment) -> object:
    p.checkout("completed")
    p.refund("succeeded", amount=500)
    return (*PAID[:3], 500)


def refunded_in_two_parts(p: Payment) -> object:
    p.checkout("completed")
    p.refund("pending", "succeeded", amount=1200)
    p.refund("pending", "succeeded", amount=800, before=1200)
    return (*ENDED, 2000)


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


def refunded_and_disputed(p: Payment) -> object:
    p.checkout("completed")
    p.dispute("needs_response", "under_review")
    p.refund("pending", "succeeded")
    p.dispute("won")
    return (*ENDED, 2000)


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
    free,
    declined_first,
    delayed,
    delayed_and_failed,
    failure_beside_success,
    expired,
    paid_twice,
    paid_twice_and_duplicate_refunded,
    paid_twice_and_first_refunded,
    refunded,
    refunded_and_bought_again,
    delayed_and_refunded,
    refunded_in_part,
    refunded_in_two_parts,
    refund_failed,
    dispute_open,
    dispute_won,
    dispute_lost,
    refunded_and_disputed,
    appeal_won,
    inquiry,
    of_another_product,
    of_the_wrong_mode,
)


def payments(rows: list[tuple[int, int]]) -> list[Payment]:
    """A payment for each (conversation id, user id), with the scripts in rotation."""
    made = []
    for number, (conversation_id, user_id) in enumerate(rows):
        script = SCRIPTS[number % len(SCRIPTS)]
        payment = Payment(conversation_id, user_id, script.__name__)
        expected = script(payment)
        assert isinstance(expected, tuple)
        payment.expected = expected
        made.append(payment)
    return made


def deliveries(scripted: list[Payment], *, seed: int) -> list[list[Json]]:
    """Every event two to four times, shuffled, in two waves.

    The second wave has the later events, mixed with more repeats of the earlier ones.
    """
    dice = random.Random(seed)  # noqa: S311 - not a secret
    first = [event for payment in scripted for event in payment.events]
    later = [event for payment in scripted for event in payment.later]
    repeats = [event for payment in scripted if payment.later for event in payment.events]
    waves = [_repeated(first, dice), _repeated(later, dice) + repeats]
    for wave in waves:
        dice.shuffle(wave)
    return waves


def _repeated(events: list[Json], dice: random.Random) -> list[Json]:
    return [event for event in events for _ in range(dice.randint(2, 4))]
