"""Fulfilment: what a Checkout Session's fate means for its order, conversation and key.

Called by the webhook's handlers, the success page, reconciliation and replay, always inside the
caller's transaction. Every function takes its locks in the one order: (event →) payment intent →
conversation → order → user → grant → key. Nothing in here talks to the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apikeys import services as apikeys
from billing import reversals
from billing.models import EventStatus, Order, OrderStatus, StripeEvent
from billing.stripe.objects import REVERSAL_PARSERS, CheckoutSession, Reference, Reversal
from conversations.models import Conversation, PaymentStatus

KEY_NAME = "Auto-generated from payment"

# Lets one transaction at a time ask whether a PaymentIntent has an order.
LOCK_PAYMENT = "SELECT pg_advisory_xact_lock(hashtextextended(%(payment_intent_id)s, 0))"


class Unmatched(Exception):
    """The payment is ours, but what it was for is not here. The text says what is missing."""


class WrongMode(Unmatched):
    """It is of live mode and this server of test mode, or the other way round."""


@dataclass(frozen=True, slots=True)
class Result:
    """The order as it stands now (None: there is none), and what was done, in words."""

    order: Order | None
    text: str

    @property
    def conversation_id(self) -> int | None:
        return self.order.conversation_id if self.order else None


def fulfil(session: CheckoutSession) -> Result:
    """The money is there: complete the order, pay the conversation, issue one key.

    Once only, however often it is called: the order is unique by its session and has at most one
    grant, which the key hangs on. A second paid session of a paid conversation becomes a completed
    order marked duplicate, without a grant. Raises Unmatched.
    """
    conversation, order = _locked(session)
    if order.status == OrderStatus.COMPLETED:
        return Result(order, f"order {order.pk} was completed before")
    order.status = OrderStatus.COMPLETED
    order.paid_at = timezone.now()
    order.is_duplicate = conversation.is_paid
    if order.is_duplicate:
        order.save()
        _apply_reversals(order, conversation)
        return Result(order, f"order {order.pk} completed as a duplicate: refund it")
    conversation.mark_paid(session.id)
    key_id = _issue(order)
    order.save()
    _apply_reversals(order, conversation)
    return Result(order, f"order {order.pk} completed, key {key_id} issued")


def mark_pending(session: CheckoutSession) -> Result:
    """A delayed method was chosen: keep the order pending until Stripe knows. Raises Unmatched."""
    conversation, order = _locked(session)
    if order.pk:
        return Result(order, f"order {order.pk} is {order.status} already")
    order.status = OrderStatus.PENDING
    order.save()
    conversation.mark_pending(session.id)
    _apply_reversals(order, conversation)
    return Result(order, f"order {order.pk} waits for the money")


def fail(session: CheckoutSession) -> Result:
    """A delayed payment failed for good. A completed order stays completed. Raises Unmatched."""
    conversation, order = _locked(session)
    if order.status == OrderStatus.COMPLETED:
        return Result(order, f"order {order.pk} stays completed")
    # Recorded also when nothing was pending yet: a late "completed, unpaid" finds it failed.
    order.status = OrderStatus.FAILED
    order.save()
    if _is_current(session, conversation):
        conversation.fail()
    _apply_reversals(order, conversation)
    return Result(order, f"order {order.pk} failed")


def expire(session: CheckoutSession) -> Result:
    """Nobody paid in time: a conversation that waits for this very session fails.

    A session that a newer link has replaced takes nothing with it. Raises Unmatched.
    """
    conversation = _locked_conversation(session.reference, session.livemode)
    pending = conversation.payment_status == PaymentStatus.PENDING
    if not (pending and _is_current(session, conversation)):
        return Result(None, f"conversation {conversation.pk} did not wait for this session")
    # Completed and expired exclude each other, so this is noise; the money may be on its way.
    if Order.objects.filter(stripe_session_id=session.id).exists():
        return Result(None, f"conversation {conversation.pk} waits for the session's order")
    conversation.fail()
    return Result(None, f"conversation {conversation.pk} failed: its session expired")


def apply_reversal(said: Reversal, told: reversals.EventPosition, *, livemode: bool) -> Result:
    """Money goes back, or comes back after all: bring order, key and conversation up to it.

    Raises Unmatched when no order has the PaymentIntent yet: the event then waits, and the
    transaction that records the order applies it.
    """
    _check_mode(livemode)
    _lock_payment(said.payment_intent_id)
    found = Order.objects.filter(stripe_payment_intent_id=said.payment_intent_id)
    ids = found.order_by("pk").values_list("pk", "conversation_id").first()
    if ids is None:
        raise Unmatched(f"No order has PaymentIntent {said.payment_intent_id} yet.")
    conversation = Conversation.objects.locked().get(pk=ids[1])
    order = Order.objects.locked().get(pk=ids[0])
    text = f"order {order.pk}: {reversals.record(order, said, told)}"
    _settle(order, conversation)
    return Result(order, text)


def apply(session: CheckoutSession) -> Result:
    """Bring our records up to a session as Stripe's API shows it now. Raises Unmatched."""
    if session.is_paid and session.status == "complete":
        return fulfil(session)
    if session.status == "complete":
        return fail(session) if session.payment_failed else mark_pending(session)
    if session.status == "expired":
        return expire(session)
    return Result(None, "the session is still open")


def find_conversation(reference: Reference, *, livemode: bool) -> int:
    """The id of the conversation a payment refers to, without locking it. Raises Unmatched."""
    _check_mode(livemode)
    found = Conversation.objects.filter(pk=reference.conversation_id)
    return _owned(found.first(), reference).pk


def _locked(session: CheckoutSession) -> tuple[Conversation, Order]:
    """What a session is about, locked in the one order. Raises Unmatched."""
    _check_mode(session.livemode)
    if session.payment_intent_id:
        _lock_payment(session.payment_intent_id)
    conversation = _locked_conversation(session.reference, session.livemode)
    return conversation, _locked_order(session, conversation)


def _lock_payment(payment_intent_id: str) -> None:
    """Be the only one to ask whether this PaymentIntent has an order.

    Otherwise a refund that finds none could begin to wait just when its order, not yet visible,
    has looked for waiting refunds: neither would see the other. SQLite has one writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(LOCK_PAYMENT, {"payment_intent_id": payment_intent_id})


def _locked_conversation(reference: Reference, livemode: bool) -> Conversation:
    _check_mode(livemode)
    found = Conversation.objects.filter(pk=reference.conversation_id).locked()
    return _owned(found.first(), reference)


def _owned(conversation: Conversation | None, reference: Reference) -> Conversation:
    if conversation is None:
        raise Unmatched(f"There is no conversation {reference.conversation_id}.")
    if conversation.user_id != reference.user_id:
        raise Unmatched(f"Conversation {conversation.pk} is not of user {reference.user_id}.")
    return conversation


def _check_mode(livemode: bool) -> None:
    if livemode != settings.STRIPE_LIVEMODE:
        raise WrongMode(f"It is of {'live' if livemode else 'test'} mode, and this server is not.")


def _locked_order(session: CheckoutSession, conversation: Conversation) -> Order:
    """The session's order, locked, brought up to what Stripe says was paid; or a new, unsaved one.

    The conversation's lock is held, so no other transaction can be inserting the same order.
    """
    order = Order.objects.filter(stripe_session_id=session.id).locked().first()
    if order is None:
        order = Order(
            user_id=conversation.user_id,
            conversation=conversation,
            stripe_session_id=session.id,
            tier=session.reference.tier,
        )
    elif order.conversation_id != conversation.pk:
        raise Unmatched(f"Session {session.id} belongs to conversation {order.conversation_id}.")
    if order.status != OrderStatus.COMPLETED:
        order.amount_cents = session.amount_cents
        order.currency = session.currency
        order.livemode = session.livemode
        order.stripe_payment_intent_id = session.payment_intent_id or order.stripe_payment_intent_id
    return order


def _is_current(session: CheckoutSession, conversation: Conversation) -> bool:
    return conversation.stripe_session_id in (None, session.id)


def _apply_reversals(order: Order, conversation: Conversation) -> None:
    """Let the order, which is saved, have what was said of its refunds and disputes before now."""
    came_first = _apply_waiting_reversals(order)
    if came_first or order.refunded_cents or order.dispute_status:
        _settle(order, conversation)


def _apply_waiting_reversals(order: Order) -> bool:
    """Record the refunds and disputes that came before their order; whether there were any.

    Rows that others hold are left to them. They are not waited for, since that would turn the
    lock order round. Their holder is about to take the payment's lock, which is ours, and will
    find the order; one that does not is made up for by process_events.
    """
    if not order.stripe_payment_intent_id:
        return False
    waiting = StripeEvent.objects.of_payment(order.stripe_payment_intent_id)
    waiting = waiting.filter(type__in=REVERSAL_PARSERS).exclude(status=EventStatus.PROCESSED)
    found = False
    for event in waiting.order_by("pk").locked(skip_locked=True):
        try:
            said = REVERSAL_PARSERS[event.type](event.stripe_object)
        except ValueError:
            continue  # not readable: it failed by itself, and must not fail a payment
        if said is not None:
            text = reversals.record(order, said, reversals.EventPosition.of_event(event))
            text = f"order {order.pk}: {text}"
            event.settle(EventStatus.PROCESSED, text, order.conversation_id)
            found = True
    return found


def _settle(order: Order, conversation: Conversation) -> None:
    """Make grant and conversation what the order's money says, once it was there at all."""
    if order.status != OrderStatus.COMPLETED:
        order.save()
        return
    if order.is_good and conversation.is_paid:
        _demote_to_duplicate(order)
    order.save()
    promoted = _sync_conversation(order, conversation)
    _sync_grants([order, *promoted])


def _demote_to_duplicate(order: Order) -> None:
    """Become a duplicate where the conversation was paid anew meanwhile."""
    standing = Order.objects.good().filter(conversation=order.conversation_id, is_duplicate=False)
    if standing.exclude(pk=order.pk).exists():
        order.is_duplicate = True


def _issue(order: Order) -> int:
    """Give the order its grant; returns the id of the grant's key."""
    key = apikeys.issue(user_id=order.user_id, name=KEY_NAME, tier=order.tier)
    order.grant = key.grant
    return key.pk


def _sync_grants(orders: Iterable[Order]) -> None:
    """Compute what the orders' grants are from all orders of each, under the grant's lock.

    All orders and their conversation are locked and saved before any grant is locked.
    """
    for grant_id in sorted({order.grant_id for order in orders if order.grant_id}):
        grant = apikeys.lock_grant(grant_id)
        standing = list(Order.objects.good().filter(grant=grant, is_duplicate=False))
        disputed = any(order.is_disputed for order in standing)
        apikeys.update_grant(grant, revoked=not standing, suspended=disputed)


def _sync_conversation(order: Order, conversation: Conversation) -> list[Order]:
    """A good order pays its conversation; one whose money went back does not, but others may.

    Returns the duplicate that has taken the order's place, if any.
    """
    if order.is_good:
        if not conversation.is_paid:
            conversation.mark_paid(order.stripe_session_id)
    elif conversation.is_paid:
        others = Order.objects.good().filter(conversation=conversation).exclude(pk=order.pk)
        if not others.exists():
            conversation.unpay()
        elif not others.filter(is_duplicate=False).exists():
            return [_promote_duplicate(others.earliest("pk").pk, conversation)]
    return []


def _promote_duplicate(order_id: int, conversation: Conversation) -> Order:
    """Let a duplicate be the payment that stands; it gets a grant, unless it had one before."""
    order = Order.objects.locked().get(pk=order_id)
    order.is_duplicate = False
    if order.grant_id is None:
        _issue(order)
    order.save()
    conversation.mark_paid(order.stripe_session_id)
    return order
