"""Event handlers by type. A handler runs in the transaction that settles its event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils import timezone

from billing import fulfilment, links, receipts
from billing.models import IGNORE_UNMATCHED_AFTER, EventStatus, StripeEvent
from billing.reversals import EventPosition
from billing.stripe import objects

# Not a type of Stripe's; the specification names it.
PAYMENT_FAILED_ALIAS = "payment_intent.failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The status for the event, a sentence about what was done, and the conversation concerned."""

    status: EventStatus
    text: str
    conversation_id: int | None = None


def handle(event: StripeEvent) -> Outcome:
    """Handle a stored event whose row is locked.

    An exception rolls back everything that was done, and the event is retried.
    """
    handler = HANDLERS.get(event.type)
    if handler is None:
        return Outcome(EventStatus.IGNORED, "this type is not handled")
    if event.is_of_connected_account:
        return Outcome(EventStatus.IGNORED, "not ours: of a connected account")
    try:
        return handler(event)
    except links.NotOurs as reason:
        return Outcome(EventStatus.IGNORED, str(reason))
    except fulfilment.Unmatched as reason:
        return Outcome(EventStatus.UNMATCHED, str(reason))


def _for_session(act: Callable[[objects.CheckoutSession], fulfilment.Result]) -> Handler:
    """A handler that applies `act` to the event's Checkout Session if it is ours."""

    def handler(event: StripeEvent) -> Outcome:
        session = objects.parse_session(event.stripe_object)
        if session is None:
            return _not_ours()
        result = act(session)
        return Outcome(EventStatus.PROCESSED, result.text, session.reference.conversation_id)

    return handler


def _completed(session: objects.CheckoutSession) -> fulfilment.Result:
    """Whatever the event's name, only a session that is paid is fulfilled."""
    act = fulfilment.fulfil if session.is_paid else fulfilment.mark_pending
    return act(session)


def _payment_failed(event: StripeEvent) -> Outcome:
    """A failed attempt to pay, matched by its metadata, which is that of its session."""
    payment_intent = event.stripe_object
    reference = objects.parse_reference(payment_intent)
    if reference is None:
        return _not_ours()
    fulfilment.fail_attempt(
        reference,
        str(payment_intent.get("id") or event.event_id),
        at=objects.time_of(event.payload, "created"),
        code=objects.decline_code(payment_intent),
        livemode=bool(payment_intent.get("livemode")),
    )
    reason = objects.decline_reason(payment_intent)
    return Outcome(EventStatus.PROCESSED, reason, reference.conversation_id)


def _reversal(event: StripeEvent) -> Outcome:
    """A refund, dispute or fraud warning: matched by its PaymentIntent; it has no metadata."""
    update = objects.REVERSAL_PARSERS[event.type](event.stripe_object)
    if update is None:
        return Outcome(EventStatus.IGNORED, "not ours: it has no PaymentIntent")
    position = EventPosition.of_event(event)
    try:
        result = fulfilment.apply_reversal(
            update, position, cause=event.event_id, livemode=event.livemode
        )
    except fulfilment.NoOrderYet:
        is_recent = event.created_at > timezone.now() - IGNORE_UNMATCHED_AFTER
        if is_recent or _payment_is_unsettled(update):
            raise
        return Outcome(EventStatus.IGNORED, "not ours: no order was recorded for it")
    return Outcome(EventStatus.PROCESSED, result.text, result.conversation_id)


def _payment_is_unsettled(update: objects.Reversal) -> bool:
    """True if this payment's checkout event is recorded but not handled yet."""
    of_payment = StripeEvent.objects.of_payment(update.payment_intent_id).unsettled()
    return of_payment.filter(type__startswith="checkout.session.").exists()


def _charge(event: StripeEvent) -> Outcome:
    """Stored for search (support.payment_search), and for its order's receipt."""
    if intent := objects.payment_intent_id(event.stripe_object):
        fulfilment.update_receipt(intent, livemode=event.livemode)
    # Whether the order is recorded yet or not: a replay changes nothing.
    return Outcome(EventStatus.IGNORED, "stored for search, and for the receipt of its order")


def _not_ours() -> Outcome:
    return Outcome(EventStatus.IGNORED, "not ours: it has no payflow metadata")


Handler = Callable[[StripeEvent], Outcome]

# Handled for old accounts and by the specification; endpoints need not subscribe to them.
_UNSUBSCRIBED = {PAYMENT_FAILED_ALIAS, "charge.refund.updated"}

HANDLERS: Mapping[str, Handler] = {
    "checkout.session.completed": _for_session(_completed),
    "checkout.session.async_payment_succeeded": _for_session(_completed),
    "checkout.session.async_payment_failed": _for_session(fulfilment.fail),
    "checkout.session.expired": _for_session(fulfilment.expire),
    objects.PAYMENT_FAILED: _payment_failed,
    PAYMENT_FAILED_ALIAS: _payment_failed,
    **dict.fromkeys(objects.REVERSAL_PARSERS, _reversal),
    **dict.fromkeys(receipts.TYPES, _charge),
}

# What a webhook endpoint is to send us.
SUBSCRIPTION = sorted(set(HANDLERS) - _UNSUBSCRIBED)
