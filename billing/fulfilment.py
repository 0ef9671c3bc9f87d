"""Fulfilment: what a Checkout Session's fate means for its order, conversation and key.

Called by the webhook's handlers, the success page, reconciliation and replay, always inside the
caller's transaction. Every function takes its locks in the one order: (event →) conversation →
order → key. Nothing in here talks to the network.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from apikeys import services as apikeys
from billing.facts import CheckoutSession, Reference
from billing.models import Order, OrderStatus
from conversations.models import Conversation, PaymentStatus

KEY_NAME = "Auto-generated from payment"


class Unmatched(Exception):
    """The payment is ours, but what it was for is not here. The text says what is missing."""


@dataclass(frozen=True, slots=True)
class Result:
    """The order as it stands now (None: there is none), and what was done, in words."""

    order: Order | None
    text: str


def fulfil(session: CheckoutSession) -> Result:
    """The money is there: complete the order, pay the conversation, issue one key.

    Once only, however often it is called: the order is unique by its session and the key hangs
    on the order. A second paid session of a paid conversation becomes a completed order marked
    duplicate, without a key. Raises Unmatched.
    """
    conversation = _locked_conversation(session.reference, session.livemode)
    order = _locked_order(session, conversation)
    if order.status == OrderStatus.COMPLETED:
        return Result(order, f"order {order.pk} was completed before")
    order.status = OrderStatus.COMPLETED
    order.paid_at = timezone.now()
    order.is_duplicate = conversation.is_paid
    if not order.is_duplicate:
        conversation.settle_paid(session.id)
        order.api_key = apikeys.issue(user_id=order.user_id, name=KEY_NAME, tier=order.tier)
    order.save()
    if order.is_duplicate:
        return Result(order, f"order {order.pk} completed as a duplicate: refund it")
    return Result(order, f"order {order.pk} completed, key {order.api_key_id} issued")


def await_money(session: CheckoutSession) -> Result:
    """A delayed method was chosen: keep the order pending until Stripe knows. Raises Unmatched."""
    conversation = _locked_conversation(session.reference, session.livemode)
    order = _locked_order(session, conversation)
    if order.pk:
        return Result(order, f"order {order.pk} is {order.status} already")
    order.status = OrderStatus.PENDING
    order.save()
    conversation.await_payment(session.id)
    return Result(order, f"order {order.pk} waits for the money")


def fail(session: CheckoutSession) -> Result:
    """A delayed payment failed for good. A completed order stays completed. Raises Unmatched."""
    conversation = _locked_conversation(session.reference, session.livemode)
    order = _locked_order(session, conversation)
    if order.status == OrderStatus.COMPLETED:
        return Result(order, f"order {order.pk} stays completed")
    # Recorded also when nothing was pending yet: a late "completed, unpaid" finds it failed.
    order.status = OrderStatus.FAILED
    order.save()
    if _is_current(session, conversation):
        conversation.fail()
    return Result(order, f"order {order.pk} failed")


def expire(session: CheckoutSession) -> Result:
    """Nobody paid in time: a conversation that waits for this very session fails.

    A session that a newer link has replaced takes nothing with it. Raises Unmatched.
    """
    conversation = _locked_conversation(session.reference, session.livemode)
    pending = conversation.payment_status == PaymentStatus.PENDING
    if not (pending and _is_current(session, conversation)):
        return Result(None, f"conversation {conversation.pk} did not wait for this session")
    conversation.fail()
    return Result(None, f"conversation {conversation.pk} failed: its session expired")


def apply(session: CheckoutSession) -> Result:
    """Bring our records up to a session as Stripe's API shows it now. Raises Unmatched."""
    if session.money_is_there and session.status == "complete":
        return fulfil(session)
    if session.status == "complete":
        return await_money(session)
    if session.status == "expired":
        return expire(session)
    return Result(None, "the session is still open")


def find_conversation(reference: Reference, *, livemode: bool) -> int:
    """The id of the conversation a payment refers to, without locking it. Raises Unmatched."""
    _check_mode(livemode)
    found = Conversation.objects.filter(pk=reference.conversation_id)
    return _owned(found.first(), reference).pk


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
        raise Unmatched(f"It is of {'live' if livemode else 'test'} mode, and this server is not.")


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
