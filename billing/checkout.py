"""Checkout: create payment links, and compare their sessions with Stripe later.

A session is retrieved when its customer returns, and by reconcile_orders when its events are late.
No database transaction is open and no lock is held during a call to Stripe.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import Throttled

from apikeys import throttling
from billing import fulfilment
from billing.models import CheckoutSettings, Order, OrderStatus
from billing.stripe import client, objects
from conversations.models import Conversation, PaymentStatus

logger = logging.getLogger(__name__)

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,200}", re.ASCII)


class CheckoutError(Exception):
    """Why nothing can be paid. `code` and `detail` are for the user."""

    code = "refused"
    detail = ""


class ConversationNotFound(CheckoutError):
    """The user has no such conversation."""

    code = "not_found"
    detail = "You have no such conversation."


class AlreadyPaid(CheckoutError):
    code = "already_paid"
    detail = "This conversation is paid already."


class PaymentUnderWay(CheckoutError):
    """The conversation has a pending order: another payment would be a duplicate."""

    code = "payment_under_way"
    detail = "A payment of this conversation is pending: wait until it is confirmed."


class TooManyRequests(CheckoutError):
    """The account has asked for too many links, or too often about its sessions."""

    code = "throttled"
    detail = "Too many requests. Try again in a minute."

    def __init__(self, retry_after: int) -> None:
        super().__init__(self.detail)
        self.retry_after = retry_after  # seconds


class CheckoutClosed(CheckoutError):
    """Staff have closed Checkout for customers who never paid."""

    code = "checkout_closed"
    detail = "New customers can't pay at the moment. Please try again later."


class SessionExpired(Exception):
    """The session was not paid in time and cannot be paid any more."""


class UnknownTier(CheckoutError):
    """No price is configured for this tier."""

    code = "unknown_tier"

    def __init__(self, tier: str) -> None:
        super().__init__(tier)
        self.detail = f"There is no tier {tier}."


@dataclass(frozen=True, slots=True)
class Customer:
    """The paying user's id, and the email address that Checkout is pre-filled with."""

    id: int
    email: str

    @classmethod
    def of(cls, user: AbstractBaseUser | AnonymousUser) -> Customer:
        return cls(int(user.pk or 0), getattr(user, "email", ""))


@client.within_deadline
def start_checkout(
    customer: Customer,
    conversation_id: int,
    *,
    tier: str = objects.DEFAULT_TIER,
    idempotency_key: str | None = None,
) -> client.CreatedSession:
    """Create a Checkout Session for a conversation and make it the conversation's current one.

    The session that it replaces is expired, so that the conversation is not paid twice, or
    fulfilled if it turns out to be paid. Raises CheckoutError and client.StripeFailed.
    """
    if tier not in settings.STRIPE_PRICES:
        raise UnknownTier(tier)
    _count("links", customer.id)
    conversation = _conversation_of(customer, conversation_id)
    _refuse_if_paid_or_pending(conversation)
    _refuse_new_customer_if_closed(customer.id)
    session = client.create_session(
        _session_params(customer, conversation, tier),
        idempotency_key=_scoped(customer, idempotency_key),
    )
    if session.replayed and not _is_open(session.id):
        return session  # a newer link has replaced it: the repeat changes nothing
    replaced = _make_current(conversation, session.id)
    try:
        if replaced:
            _close(replaced)
        _refuse_if_paid_or_pending(_conversation_of(customer, conversation_id))
    except (AlreadyPaid, PaymentUnderWay):
        _close(session.id)
        raise
    return session


@client.within_deadline
def confirm(user_id: int | None, session_id: str) -> Order | None:
    """The order of a session whose customer has returned; fulfils it if the webhook is late.

    None while there is no order. Raises ConversationNotFound for a session that is not the
    user's, SessionExpired, and client.StripeFailed.
    """
    if not SESSION_ID.fullmatch(session_id):
        raise ConversationNotFound
    order = Order.objects.owned_by(user_id).filter(stripe_session_id=session_id).first()
    if order is not None and order.status != OrderStatus.PENDING:
        return order
    _count("sessions", user_id or 0)
    session = objects.parse_session(client.retrieve_session(session_id) or {})
    if session is None or session.reference.user_id != user_id:
        raise ConversationNotFound
    try:
        with transaction.atomic():
            order = fulfilment.apply(session).order
    except fulfilment.Unmatched:
        raise ConversationNotFound from None
    if order is None and session.status == "expired":
        raise SessionExpired
    return order


def unsettled_sessions(*, older_than: timedelta) -> Iterator[str]:
    """The sessions of conversations and orders that have been pending for longer."""
    before = timezone.now() - older_than
    conversations = Conversation.objects.filter(
        payment_status=PaymentStatus.PENDING,
        stripe_session_id__isnull=False,
        updated_at__lt=before,
    )
    of_conversations = conversations.values_list("stripe_session_id", flat=True)
    orders = Order.objects.filter(status=OrderStatus.PENDING, updated_at__lt=before)
    of_orders = orders.values_list("stripe_session_id", flat=True)
    # UNION: the session of a pending order is usually its conversation's as well.
    return (str(session_id) for session_id in of_conversations.union(of_orders).iterator())


@client.within_deadline
def reconcile(session_id: str) -> str:
    """Apply a session as Stripe returns it now; return its state in words.

    Raises client.StripeFailed.
    """
    found = client.retrieve_session(session_id)
    session = objects.parse_session(found) if found else None
    if session is None:
        return "unknown to Stripe"
    try:
        with transaction.atomic():
            result = fulfilment.apply(session)
    except fulfilment.Unmatched:
        return "unmatched"
    return f"order {result.order.status}" if result.order else f"session {session.status}"


def _count(what: str, user_id: int) -> None:
    """Limit what an account can make us ask Stripe. Raises TooManyRequests."""
    limit = settings.LINKS_PER_MINUTE
    try:
        throttling.count_for_account(
            what, user_id, limit, has_paid=lambda: Order.objects.has_paid(user_id)
        )
    except Throttled:
        raise TooManyRequests(math.ceil(throttling.rest_of_window())) from None


def _refuse_new_customer_if_closed(user_id: int) -> None:
    if CheckoutSettings.objects.is_closed_to_new_customers() and not Order.objects.has_paid(
        user_id
    ):
        raise CheckoutClosed


def _conversation_of(customer: Customer, conversation_id: int) -> Conversation:
    try:
        return Conversation.objects.owned_by(customer.id).get(pk=conversation_id)
    except Conversation.DoesNotExist:
        raise ConversationNotFound from None


def _session_params(customer: Customer, conversation: Conversation, tier: str) -> dict[str, Any]:
    metadata = {
        "user_id": str(customer.id),
        "conversation_id": str(conversation.pk),
        "tier": tier,
    }
    return {
        "mode": "payment",
        "line_items": [{"price": settings.STRIPE_PRICES[tier], "quantity": 1}],
        # Stripe replaces the placeholder; it must be sent unencoded.
        "success_url": (
            f"{settings.FRONTEND_URL}/payments/success?session_id={{CHECKOUT_SESSION_ID}}"
        ),
        "cancel_url": f"{settings.FRONTEND_URL}/payments/cancel",
        "customer_email": customer.email,
        "client_reference_id": str(conversation.pk),
        # A session's metadata is on checkout.session.* events only; the PaymentIntent needs its
        # own for the events about failures.
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
    }


def _scoped(customer: Customer, idempotency_key: str | None) -> str | None:
    """The caller's key as sent to Stripe, where the keys of all users share one namespace."""
    if idempotency_key is None:
        return None
    digest = hashlib.sha256(idempotency_key.encode()).hexdigest()
    return f"payflow-user-{customer.id}-{digest}"


def _is_open(session_id: str) -> bool:
    session = client.retrieve_session(session_id)
    return session is not None and session.get("status") == "open"


def _refuse_if_paid_or_pending(conversation: Conversation) -> None:
    if conversation.is_paid:
        raise AlreadyPaid
    if Order.objects.filter(conversation=conversation, status=OrderStatus.PENDING).exists():
        raise PaymentUnderWay


def _make_current(conversation: Conversation, session_id: str) -> str | None:
    """Set the conversation's current session unless it is paid; return the replaced session.

    The conversation may have been paid during the call to Stripe: it is read again under its
    lock, and the caller checks it once more afterwards.
    """
    with transaction.atomic():
        conversation = Conversation.objects.locked().get(pk=conversation.pk)
        replaced = conversation.stripe_session_id
        conversation.mark_pending(session_id)
    return replaced if replaced != session_id and not conversation.is_paid else None


def _close(session_id: str) -> None:
    """Expire a session, or apply its result if it is not open any more.

    Best effort: if Stripe does not answer, its events will report the result.
    """
    try:
        if not client.expire_session(session_id):
            reconcile(session_id)
    except client.StripeFailed:
        logger.warning("Session %s could not be expired", session_id)
