"""Fulfilment: apply a Checkout Session, refund or dispute to order, conversation and grant.

Called by the event handlers, the success page and reconciliation, inside the caller's transaction.
Locks are taken in this order: event → payment intent → conversation → order → user → grant → key.
No network calls are made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from apikeys import services as apikeys
from apikeys.models import ApiKey, Grant
from billing import imported, links, log_context, notices, receipts, reversals
from billing.models import EventStatus, Order, OrderStatus, StripeEvent
from billing.stripe.objects import REVERSAL_PARSERS, CheckoutSession, Reference, Reversal
from conversations.models import Conversation, PaymentStatus

KEY_NAME = "Auto-generated from payment"
NEEDS_REVIEW = "; it needs review"  # after the outcome of a flagged order

# Serializes the transactions that look for the order of one PaymentIntent.
LOCK_PAYMENT = "SELECT pg_advisory_xact_lock(hashtextextended(%(payment_intent_id)s, 0))"


class Unmatched(Exception):
    """The payment is ours, but its user, conversation or order is missing. The text says which."""


class WrongMode(Unmatched):
    """The payment is in live mode and this server in test mode, or the reverse."""


class NoOrderYet(Unmatched):
    """No order has the PaymentIntent of a refund or dispute."""


@dataclass(frozen=True, slots=True)
class Result:
    """The order, if there is one, and a sentence about what was done."""

    order: Order | None
    text: str

    @property
    def conversation_id(self) -> int | None:
        return self.order.conversation_id if self.order else None


def fulfil(session: CheckoutSession) -> Result:
    """The session is paid: complete the order, pay the conversation, issue one key.

    Repeated calls change nothing: the order is unique by its session and has at most one grant,
    which the key belongs to. A second paid session of a paid conversation becomes a completed
    order marked duplicate, without a grant. Raises Unmatched and links.NotOurs.
    """
    conversation, order = _locked(session)
    link = links.close(session.id)
    if order.status == OrderStatus.COMPLETED:
        return Result(order, f"order {order.pk} was completed before")
    needs_review = links.needs_review(session, link)
    if conversation.is_paid:
        order.complete(grant_id=None, needs_review=needs_review)
        notices.paid(order)
        text = f"order {order.pk} completed as a duplicate: refund it"
    else:
        conversation.mark_paid(session.id)
        key = _issue_key(order)
        order.complete(grant_id=key.grant_id, needs_review=needs_review)
        notices.paid(order)
        notices.key_issued(order, key.pk)
        text = f"order {order.pk} completed, key {key.pk} issued"
    _apply_waiting_reversals(order, conversation)
    return Result(order, text + (NEEDS_REVIEW if needs_review else ""))


def mark_pending(session: CheckoutSession) -> Result:
    """A delayed payment method was used: record a pending order.

    Raises Unmatched and links.NotOurs.
    """
    conversation, order = _locked(session)
    if order.status == OrderStatus.FAILED and _is_current(session, conversation):
        conversation.fail()  # this event is late: the failure that followed it came first
    if order.pk:
        return Result(order, f"order {order.pk} is already {order.status}")
    order.mark_pending()
    notices.pending(order)
    conversation.mark_pending(session.id)
    return Result(order, f"order {order.pk} is pending")


def fail(session: CheckoutSession) -> Result:
    """A delayed payment failed for good. A completed order stays completed.

    Raises Unmatched and links.NotOurs.
    """
    conversation, order = _locked(session)
    links.close(session.id)
    if order.status == OrderStatus.COMPLETED:
        return Result(order, f"order {order.pk} stays completed")
    # Recorded even without a pending order, so that a late "completed, unpaid" finds it failed.
    order.fail()
    notices.failed(order)
    if _is_current(session, conversation):
        conversation.fail()
    _apply_waiting_reversals(order, conversation)  # no payment is awaited
    return Result(order, f"order {order.pk} failed")


def expire(session: CheckoutSession) -> Result:
    """The session expired unpaid: fail the conversation that is pending on it.

    A session that a newer link has replaced changes nothing. Raises Unmatched and links.NotOurs.
    """
    _check_ours(session.reference, session.id, livemode=session.livemode)
    conversation = _locked_conversation(session.reference)
    links.close(session.id)
    pending = conversation.payment_status == PaymentStatus.PENDING
    if not (pending and _is_current(session, conversation)):
        return Result(None, f"conversation {conversation.pk} was not pending on this session")
    # Stripe never expires a completed session; if it seems so, the order decides.
    if Order.objects.filter(stripe_session_id=session.id).exists():
        return Result(
            None, f"conversation {conversation.pk} is unchanged: the session has an order"
        )
    conversation.fail()
    return Result(None, f"conversation {conversation.pk} failed: its session expired")


def fail_attempt(
    reference: Reference,
    payment_intent_id: str,
    *,
    at: datetime | None,
    code: str,
    livemode: bool,
) -> None:
    """An attempt to pay failed: fail a conversation that nothing else pays or may still pay.

    `at` is Stripe's time of the failure, `code` its reason. The session stays open, and a later
    success is fulfilled. Raises Unmatched and links.NotOurs.
    """
    _check_ours(reference, livemode=livemode)
    conversation = _locked_conversation(reference)
    is_of_another = links.is_of_another_link(reference, at, conversation.stripe_session_id)
    if is_of_another or _has_order(conversation):
        return
    before = conversation.payment_status
    conversation.decline(code, at or timezone.now())
    if conversation.payment_status != before:
        notices.declined(conversation.pk, conversation.user_id, payment_intent_id)


def apply_reversal(
    update: Reversal, position: reversals.EventPosition, *, cause: str, livemode: bool
) -> Result:
    """Apply a refund or dispute update to its order, and to the order's grant and conversation.

    `cause` names the event for the outbox. Raises NoOrderYet while no order has the PaymentIntent:
    the event then waits, and the transaction that records the order applies it. Raises Unmatched
    if it can't be the order's.
    """
    _check_mode(livemode)
    _lock_payment(update.payment_intent_id)
    found = Order.objects.filter(stripe_payment_intent_id=update.payment_intent_id)
    ids = found.order_by("pk").values_list("pk", "conversation_id").first()
    if ids is None:
        return _apply_to_imported(update, position, cause)
    log_context.add(order=ids[0], conversation=ids[1])
    conversation = Conversation.objects.locked().get(pk=ids[1])
    order = Order.objects.locked().get(pk=ids[0])
    try:
        text = f"order {order.pk}: {reversals.record(order, update, position)}"
    except reversals.OfAnotherOrder as reason:
        raise Unmatched(str(reason)) from None
    _sync(order, conversation, cause)
    return Result(order, text)


def _apply_to_imported(update: Reversal, position: reversals.EventPosition, cause: str) -> Result:
    """Apply a refund or a dispute to an imported payment, whose lock is held.

    Raises NoOrderYet if there is none.
    """
    payment = imported.locked(update.payment_intent_id)
    if payment is None:
        raise NoOrderYet(f"No order has PaymentIntent {update.payment_intent_id} yet.")
    text = imported.record(payment, update, position)
    grant = apikeys.lock_grant(payment.grant_id)
    key_ids = _update_grant(
        grant, revoked=imported.is_revoked(payment), suspended=imported.is_suspended(payment)
    )
    if key_ids:
        notices.imported_grant_changed(grant.user_id, grant.payment_state, key_ids, cause)
    return Result(None, f"grant {grant.pk}: {text}")


def update_receipt(payment_intent_id: str, *, livemode: bool) -> None:
    """A charge's event is stored: write its receipt's URL to the order, if that is recorded."""
    _lock_payment(payment_intent_id)
    orders = Order.objects.filter(stripe_payment_intent_id=payment_intent_id, livemode=livemode)
    url = receipts.newest(payment_intent_id, livemode=livemode) if orders.exists() else ""
    if url:
        orders.exclude(receipt_url=url).update(receipt_url=url, updated_at=timezone.now())


def apply(session: CheckoutSession) -> Result:
    """Apply a session as Stripe's API returns it now. Raises Unmatched and links.NotOurs."""
    if session.is_paid and session.status == "complete":
        return fulfil(session)
    if session.status == "complete":
        return fail(session) if session.payment_failed else mark_pending(session)
    if session.status == "expired":
        return expire(session)
    return Result(None, "the session is still open")


def _locked(session: CheckoutSession) -> tuple[Conversation, Order]:
    """The session's conversation and order, locked in the lock order.

    Raises Unmatched and links.NotOurs.
    """
    _check_ours(session.reference, session.id, livemode=session.livemode)
    if session.payment_intent_id:
        _lock_payment(session.payment_intent_id)
    conversation = _locked_conversation(session.reference)
    return conversation, _locked_order(session, conversation)


def _lock_payment(payment_intent_id: str) -> None:
    """Allow one transaction at a time to look for the order of this PaymentIntent.

    Otherwise a refund that finds no order and an order that finds no waiting refund could commit
    at the same time, and neither would see the other. SQLite has one writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(LOCK_PAYMENT, {"payment_intent_id": payment_intent_id})


def _locked_conversation(reference: Reference) -> Conversation:
    found = Conversation.objects.filter(pk=reference.conversation_id).locked()
    conversation = found.first()
    if conversation is None:
        raise Unmatched(f"There is no conversation {reference.conversation_id}.")
    if conversation.user_id != reference.user_id:
        raise Unmatched(
            f"Conversation {conversation.pk} does not belong to user {reference.user_id}."
        )
    return conversation


def _check_ours(reference: Reference, session_id: str = "", *, livemode: bool) -> None:
    """Raise links.NotOurs or WrongMode."""
    links.check_deployment(reference, session_id)
    _check_mode(livemode)


def _check_mode(livemode: bool) -> None:
    if livemode != settings.STRIPE_LIVEMODE:
        raise WrongMode(f"It is in {'live' if livemode else 'test'} mode, but this server is not.")


def _locked_order(session: CheckoutSession, conversation: Conversation) -> Order:
    """The session's order, locked, or a new unsaved one, with the session's amounts.

    The conversation's lock is held, so no other transaction can insert the same order.
    """
    order = Order.objects.filter(stripe_session_id=session.id).locked().first()
    log_context.add(conversation=conversation.pk, order=order.pk if order else None)
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
        if intent := order.stripe_payment_intent_id:
            known = receipts.newest(intent, livemode=order.livemode)
            order.receipt_url = known or order.receipt_url
        if order.pk:  # refunds count in the order's currency, against its amount
            reversals.sum_refunds(order)
    return order


def _is_current(session: CheckoutSession, conversation: Conversation) -> bool:
    return conversation.stripe_session_id in (None, session.id)


def _has_order(conversation: Conversation) -> bool:
    """Whether an order of the conversation is pending, or its current session has one."""
    of_current = Q(stripe_session_id=conversation.stripe_session_id)
    orders = Order.objects.filter(conversation=conversation)
    return orders.filter(Q(status=OrderStatus.PENDING) | of_current).exists()


def _apply_waiting_reversals(order: Order, conversation: Conversation) -> None:
    """Apply the refunds and disputes that arrived before their order was completed or failed.

    Each takes effect under its event's id, as if it came afterwards: a rebuild tells nothing again.
    What a pending order has recorded takes effect now.
    """
    if order.refunded_cents or order.dispute_status:
        _sync(order, conversation, order.stripe_session_id)
    for event in _waiting_reversals(order):
        if _record_waiting(event, order):
            _sync(order, conversation, event.event_id)


def _waiting_reversals(order: Order) -> QuerySet[StripeEvent]:
    """The refunds and disputes that arrived before their order, locked.

    Skips locked events: waiting for one would reverse the lock order. Its transaction is about to
    take the payment's lock, which this one holds, and will find the order; process_events retries
    one that does not.
    """
    if not order.stripe_payment_intent_id:
        return StripeEvent.objects.none()
    waiting = StripeEvent.objects.of_payment(order.stripe_payment_intent_id)
    waiting = waiting.filter(type__in=REVERSAL_PARSERS, livemode=order.livemode)
    waiting = waiting.exclude(status=EventStatus.PROCESSED)
    return waiting.order_by("pk").locked(skip_locked=True)


def _record_waiting(event: StripeEvent, order: Order) -> bool:
    """Record what the event says, and settle it; False if it is not the order's."""
    try:
        update = REVERSAL_PARSERS[event.type](event.stripe_object)
        if update is None or event.is_of_connected_account:
            return False
        text = reversals.record(order, update, reversals.EventPosition.of_event(event))
    except (ValueError, reversals.OfAnotherOrder):
        return False  # its own handling records why; the payment must not fail
    event.mark_settled(EventStatus.PROCESSED, f"order {order.pk}: {text}", order.conversation_id)
    return True


def _sync(order: Order, conversation: Conversation, cause: str) -> None:
    """Save the order, and compute the conversation and the grants once the order is completed.

    `cause` is what made it necessary, for the outbox: the id of an event or a session.
    """
    if order.status != OrderStatus.COMPLETED:
        order.save()
        return
    if order.is_good and conversation.is_paid and _is_paid_by_another(order):
        order.is_duplicate = True
        notices.paid(order)
    order.save()
    promoted = _sync_conversation(order, conversation)
    _sync_grants([order, *promoted], cause)


def _is_paid_by_another(order: Order) -> bool:
    """Whether another good order pays the order's conversation, so that this one is a duplicate."""
    others = Order.objects.good().filter(conversation=order.conversation_id, is_duplicate=False)
    return others.exclude(pk=order.pk).exists()


def _issue_key(order: Order) -> ApiKey:
    """Create a grant of the order's tier and its first key."""
    return apikeys.issue(user_id=order.user_id, name=KEY_NAME, tier=order.tier)


def _sync_grants(orders: Iterable[Order], cause: str) -> None:
    """Compute each grant of the orders from all of the grant's orders, under the grant's lock.

    The orders and their conversation are locked and saved before any grant is locked.
    """
    by_grant = {order.grant_id: order for order in orders if order.grant_id}
    for grant_id in sorted(by_grant):
        grant = apikeys.lock_grant(grant_id)
        paying = list(Order.objects.good().filter(grant=grant, is_duplicate=False))
        disputed = any(order.is_disputed for order in paying)
        key_ids = _update_grant(grant, revoked=not paying, suspended=disputed)
        if key_ids:
            notices.grant_changed(by_grant[grant_id], grant.payment_state, key_ids, cause)


def _update_grant(grant: Grant, *, revoked: bool, suspended: bool) -> list[int]:
    """Set the state of a locked grant; return its keys, whose state has changed with it."""
    before = grant.payment_state
    apikeys.update_grant(grant, revoked=revoked, suspended=suspended)
    if grant.payment_state == before:
        return []
    keys = grant.keys.filter(revoked_at=None).order_by("pk")
    return list(keys.values_list("pk", flat=True))


def _sync_conversation(order: Order, conversation: Conversation) -> list[Order]:
    """Pay the conversation if the order is good; otherwise promote a duplicate or unpay it.

    Returns the other order that was promoted, if any.
    """
    if order.is_good:
        if order.is_duplicate and not _is_paid_by_another(order):
            _promote(order)
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
    """Make a duplicate the order that pays the conversation; it gets a grant if it has none."""
    order = Order.objects.locked().get(pk=order_id)
    _promote(order)
    conversation.mark_paid(order.stripe_session_id)
    return order


def _promote(order: Order) -> None:
    """Let a duplicate pay for its conversation; it gets a grant if it has none."""
    if order.grant_id:
        order.promote(grant_id=order.grant_id)
        notices.paid(order)
        return
    key = _issue_key(order)
    order.promote(grant_id=key.grant_id)
    notices.paid(order)
    notices.key_issued(order, key.pk)
