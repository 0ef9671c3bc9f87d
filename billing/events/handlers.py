"""Which event does what. A handler runs in the ledger's transaction and returns its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils import timezone

from billing import fulfilment
from billing.models import IGNORE_UNMATCHED_AFTER, EventStatus, StripeEvent
from billing.reversals import EventPosition
from billing.stripe import objects


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an event is settled, what it did in words, and the conversation it is about."""

    status: EventStatus
    text: str
    conversation_id: int | None = None


def handle(event: StripeEvent) -> Outcome:
    """Act on a stored event, whose row is locked.

    Whatever it raises rolls everything back and is retried.
    """
    handler = HANDLERS.get(event.type)
    if handler is None:
        return Outcome(EventStatus.IGNORED, "of a type that is not handled")
    try:
        return handler(event)
    except fulfilment.Unmatched as reason:
        return Outcome(EventStatus.UNMATCHED, str(reason))


def _for_session(act: Callable[[objects.CheckoutSession], fulfilment.Result]) -> Handler:
    """A handler that applies `act` to the event's Checkout Session, if it is ours."""

    def handler(event: StripeEvent) -> Outcome:
        session = objects.checkout_session(event.stripe_object)
        if session is None:
            return _foreign()
        result = act(session)
        return Outcome(EventStatus.PROCESSED, result.text, session.reference.conversation_id)

    return handler


def _completed(session: objects.CheckoutSession) -> fulfilment.Result:
    act = fulfilment.fulfil if session.is_paid else fulfilment.mark_pending
    return act(session)


def _payment_failed(event: StripeEvent) -> Outcome:
    """A declined attempt ends nothing: the session stays open and the customer may try again."""
    payment_intent = event.stripe_object
    reference = objects.reference_in(payment_intent)
    if reference is None:
        return _foreign()
    livemode = bool(payment_intent.get("livemode"))
    conversation_id = fulfilment.find_conversation(reference, livemode=livemode)
    reason = objects.decline_reason(payment_intent)
    return Outcome(EventStatus.PROCESSED, reason, conversation_id)


def _money_back(event: StripeEvent) -> Outcome:
    """A refund or a dispute: it knows its PaymentIntent, and nothing of our metadata."""
    said = objects.REVERSAL_PARSERS[event.type](event.stripe_object)
    if said is None:
        return Outcome(EventStatus.IGNORED, "of another product: it has no PaymentIntent")
    try:
        result = fulfilment.apply_reversal(
            said, EventPosition.of_event(event), livemode=event.livemode
        )
    except fulfilment.WrongMode:
        raise
    except fulfilment.Unmatched:
        if event.created_at > timezone.now() - IGNORE_UNMATCHED_AFTER or _payment_is_unsettled(
            said
        ):
            raise
        return Outcome(EventStatus.IGNORED, "of another product: its order never came")
    return Outcome(EventStatus.PROCESSED, result.text, result.conversation_id)


def _payment_is_unsettled(said: objects.Reversal) -> bool:
    """Whether the payment itself is in the ledger and still to be done: then it is no stranger."""
    of_payment = StripeEvent.objects.of_payment(said.payment_intent_id).unsettled()
    return of_payment.filter(type__startswith="checkout.session.").exists()


def _foreign() -> Outcome:
    return Outcome(EventStatus.IGNORED, "of another product: it has no metadata of ours")


Handler = Callable[[StripeEvent], Outcome]

HANDLERS: Mapping[str, Handler] = {
    "checkout.session.completed": _for_session(_completed),
    "checkout.session.async_payment_succeeded": _for_session(fulfilment.fulfil),
    "checkout.session.async_payment_failed": _for_session(fulfilment.fail),
    "checkout.session.expired": _for_session(fulfilment.expire),
    "payment_intent.payment_failed": _payment_failed,
    # Not a name that Stripe uses; some senders do.
    "payment_intent.failed": _payment_failed,
    **dict.fromkeys(objects.REVERSAL_PARSERS, _money_back),
}
