"""Checkout: handing out a payment link, and looking a session up at Stripe later.

When its customer returns, or when nothing was heard of it for too long.

No database transaction and no lock is open while Stripe is asked.
"""

from __future__ import annotations

import hashlib
import logging
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

from billing import fulfilment
from billing.models import Order, OrderStatus
from billing.stripe import client, objects
from conversations.models import Conversation, PaymentStatus

logger = logging.getLogger(__name__)

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,200}", re.ASCII)


class ConversationNotFound(Exception):
    """No such conversation of this user."""


class AlreadyPaid(Exception):
    """The conversation is paid."""


class PaymentUnderWay(Exception):
    """A delayed payment of the conversation is on its way: a second one would be one too many."""


class SessionExpired(Exception):
    """Nobody paid the session in time, and nobody can any more."""


class UnknownTier(Exception):
    """No price is configured for this tier."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays: the user's id, and the email address that Checkout is filled in with."""

    id: int
    email: str

    @classmethod
    def of(cls, user: AbstractBaseUser | AnonymousUser) -> Customer:
        return cls(int(user.pk or 0), getattr(user, "email", ""))


def start_checkout(
    customer: Customer,
    conversation_id: int,
    *,
    tier: str = objects.DEFAULT_TIER,
    idempotency_key: str | None = None,
) -> client.CreatedSession:
    """Create the Checkout Session to pay a conversation with, and make it the payable one.

    The session it replaces is expired, so that one conversation is not paid twice; when it
    turns out to be paid, it is fulfilled instead. Raises ConversationNotFound, AlreadyPaid,
    PaymentUnderWay, UnknownTier and gateway.StripeFailed.
    """
    if tier not in settings.STRIPE_PRICES:
        raise UnknownTier(tier)
    conversation = _own(customer, conversation_id)
    _refuse_if_paid_or_pending(conversation)
    session = client.create_session(
        _session_params(customer, conversation, tier),
        idempotency_key=_scoped(customer, idempotency_key),
    )
    if session.replayed and not _is_open(session.id):
        return session  # a newer link has replaced it since: the repeat changes nothing
    replaced = _make_payable(conversation, session.id)
    try:
        if replaced:
            _retire(replaced)
        _refuse_if_paid_or_pending(_own(customer, conversation_id))
    except (AlreadyPaid, PaymentUnderWay):
        _retire(session.id)
        raise
    return session


def confirm(user_id: int | None, session_id: str) -> Order | None:
    """The order of a session whose customer came back, fulfilled here if the webhook is late.

    None while there is no order. Raises ConversationNotFound for a session that is not the
    user's, SessionExpired, and gateway.StripeFailed.
    """
    if not SESSION_ID.fullmatch(session_id):
        raise ConversationNotFound
    order = Order.objects.owned_by(user_id).filter(stripe_session_id=session_id).first()
    if order is not None and order.status != OrderStatus.PENDING:
        return order
    session = objects.checkout_session(client.retrieve_session(session_id) or {})
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
    """The sessions that conversations and orders wait for and that nothing was heard of."""
    before = timezone.now() - older_than
    conversations = Conversation.objects.filter(
        payment_status=PaymentStatus.PENDING,
        stripe_session_id__isnull=False,
        updated_at__lt=before,
    )
    of_conversations = conversations.values_list("stripe_session_id", flat=True)
    orders = Order.objects.filter(status=OrderStatus.PENDING, updated_at__lt=before)
    of_orders = orders.values_list("stripe_session_id", flat=True)
    # UNION: the session of a pending order is mostly its conversation's as well.
    return (str(session_id) for session_id in of_conversations.union(of_orders).iterator())


def reconcile(session_id: str) -> str:
    """Bring our records up to what Stripe says now of a session; returns its state in words.

    Raises gateway.StripeFailed.
    """
    found = client.retrieve_session(session_id)
    session = objects.checkout_session(found) if found else None
    if session is None:
        return "unknown to Stripe"
    try:
        with transaction.atomic():
            result = fulfilment.apply(session)
    except fulfilment.Unmatched:
        return "unmatched"
    return f"order {result.order.status}" if result.order else f"session {session.status}"


def _own(customer: Customer, conversation_id: int) -> Conversation:
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
        # Stripe fills the placeholder in; it must reach it unencoded.
        "success_url": (
            f"{settings.FRONTEND_URL}/payments/success?session_id={{CHECKOUT_SESSION_ID}}"
        ),
        "cancel_url": f"{settings.FRONTEND_URL}/payments/cancel",
        "customer_email": customer.email,
        "client_reference_id": str(conversation.pk),
        # Session metadata is only on checkout.session.* events; failures, charges and refunds
        # are joined by the PaymentIntent's own.
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
    }


def _scoped(customer: Customer, idempotency_key: str | None) -> str | None:
    """The client's key as sent to Stripe, where all our users share one namespace."""
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


def _make_payable(conversation: Conversation, session_id: str) -> str | None:
    """Hang the session on its conversation, unless that is paid; the one that hung there before.

    The conversation may have been paid while Stripe was asked for the new session: it is read
    again under its lock, and the caller looks at it once more afterwards.
    """
    with transaction.atomic():
        conversation = Conversation.objects.locked().get(pk=conversation.pk)
        replaced = conversation.stripe_session_id
        conversation.mark_pending(session_id)
    return replaced if replaced != session_id and not conversation.is_paid else None


def _retire(session_id: str) -> None:
    """Make a session unpayable; when it is too late for that, do what it is due.

    Best effort: what Stripe does not answer now, its events will tell.
    """
    try:
        if not client.expire_session(session_id):
            reconcile(session_id)
    except client.StripeFailed:
        logger.warning("Session %s could not be expired", session_id)
