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
from billing import fulfilment, links
from billing.models import CheckoutLink, CheckoutSettings, Order, OrderStatus
from billing.stripe import client, objects
from conversations.models import Conversation, PaymentStatus

logger = logging.getLogger(__name__)

# Stripe keeps a session open for up to 24 hours.
ASKED_FOR = timedelta(hours=25)

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


class SessionExpired(CheckoutError):
    """The session was not paid in time, or was replaced, and cannot be paid any more."""

    code = "session_expired"
    detail = "The payment link of this Idempotency-Key has ended. Use a new key for a new link."


class SessionOpen(Exception):
    """The session was not paid so far, and still can be: nothing is wrong."""

    def __init__(self, conversation_id: int) -> None:
        super().__init__(conversation_id)
        self.conversation_id = conversation_id


class UnknownTier(CheckoutError):
    """No price is configured for this tier."""

    code = "unknown_tier"

    def __init__(self, tier: str) -> None:
        super().__init__(tier)
        self.detail = f"There is no tier {tier}."


@dataclass(frozen=True, slots=True)
class Link:
    """What the customer gets: the id of a Checkout Session, and the URL of its page."""

    id: str
    url: str


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
) -> Link:
    """Create a Checkout Session for a conversation and make it the conversation's current one.

    The session that it replaces is expired, so that the conversation is not paid twice, or
    fulfilled if it turns out to be paid. A repeat with the same key returns the same session.
    Raises CheckoutError and client.StripeFailed.
    """
    if tier not in settings.STRIPE_PRICES:
        raise UnknownTier(tier)
    _count("links", customer.id)
    conversation = _conversation_of(customer, conversation_id)
    _refuse_if_paid_or_pending(conversation)
    _refuse_new_customer_if_closed(customer.id)
    link_id = links.new_id(customer.id, idempotency_key)
    link = CheckoutLink.objects.filter(link_id=link_id).first()
    if link is None:
        link, url = _create(customer, conversation, tier, link_id, idempotency_key)
    else:
        url = _url_again(customer, conversation, tier, link)
    replaced = _make_current(conversation, link)
    try:
        if replaced:
            _close(replaced)
        _refuse_if_paid_or_pending(_conversation_of(customer, conversation_id))
    except (AlreadyPaid, PaymentUnderWay):
        _close(link.stripe_session_id)
        raise
    return Link(link.stripe_session_id, url)


@client.within_deadline
def confirm(user_id: int | None, session_id: str) -> Order:
    """The order of a session whose customer has returned; fulfils it if the webhook is late.

    Raises ConversationNotFound for a session that is not the user's, SessionOpen, SessionExpired,
    and client.StripeFailed.
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
    except (fulfilment.Unmatched, links.NotOurs):
        raise ConversationNotFound from None
    if order is not None:
        return order
    if session.status == "expired":
        raise SessionExpired
    raise SessionOpen(session.reference.conversation_id)


def unsettled_sessions(*, older_than: timedelta) -> Iterator[str]:
    """The sessions whose result is not known, and that were made or changed before.

    These are the sessions of all open links, replaced ones too, and those without a link that are
    pending or failed and changed within ASKED_FOR: a failed one may be paid until it expires.
    """
    now = timezone.now()
    yield from links.open_sessions(before=now - older_than)
    changed = {"updated_at__lt": now - older_than, "updated_at__gt": now - ASKED_FOR}
    conversations = Conversation.objects.filter(
        payment_status__in=(PaymentStatus.PENDING, PaymentStatus.FAILED),
        stripe_session_id__isnull=False,
        **changed,
    )
    orders = Order.objects.filter(status__in=(OrderStatus.PENDING, OrderStatus.FAILED), **changed)
    linked = CheckoutLink.objects.values("stripe_session_id")
    of_conversations, of_orders = (
        rows.exclude(stripe_session_id__in=linked).values_list("stripe_session_id", flat=True)
        for rows in (conversations, orders)
    )
    # UNION: the session of a pending order is usually its conversation's as well.
    yield from map(str, list(of_conversations.union(of_orders)))


@client.within_deadline
def reconcile(session_id: str) -> str:
    """Apply a session as Stripe returns it now; return its state in words.

    Raises client.StripeFailed.
    """
    found = client.retrieve_session(session_id)
    session = objects.parse_session(found) if found else None
    return "unknown to Stripe" if session is None else apply(session)


def apply(session: objects.CheckoutSession) -> str:
    """Apply a session as Stripe lists it now; return its state in words."""
    try:
        with transaction.atomic():
            result = fulfilment.apply(session)
    except fulfilment.Unmatched:
        return "unmatched"
    except links.NotOurs:
        return "of another deployment"
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


def _create(
    customer: Customer,
    conversation: Conversation,
    tier: str,
    link_id: str,
    idempotency_key: str | None,
) -> tuple[CheckoutLink, str]:
    """Create a Checkout Session; return its link, which is not saved yet, and its URL.

    An email address that Stripe refuses is left out: Checkout asks for one.
    """
    reference = objects.Reference(
        customer.id, conversation.pk, tier, link_id, settings.STRIPE_DEPLOYMENT
    )
    params = _session_params(reference)

    def create(email: str) -> client.CreatedSession:
        return client.create_session(
            params | ({"customer_email": email} if email else {}),
            idempotency_key=_scoped(customer.id, idempotency_key, email),
        )

    try:
        session = create(customer.email)
    except client.EmailRefused:
        session = create("")
    return links.build(reference, session.id, session.plain), session.url


def _session_params(reference: objects.Reference) -> dict[str, Any]:
    metadata = reference.as_metadata()
    return {
        "mode": "payment",
        "line_items": [{"price": settings.STRIPE_PRICES[reference.tier], "quantity": 1}],
        # Stripe replaces the placeholder; it must be sent unencoded.
        "success_url": (
            f"{settings.FRONTEND_URL}/payments/success?session_id={{CHECKOUT_SESSION_ID}}"
        ),
        "cancel_url": f"{settings.FRONTEND_URL}/payments/cancel",
        "client_reference_id": str(reference.conversation_id),
        # A session's metadata is on checkout.session.* events only; the PaymentIntent needs its
        # own for the events about failures.
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
    }


def _scoped(user_id: int, idempotency_key: str | None, email: str) -> str | None:
    """The caller's key as sent to Stripe, where the keys of all users share one namespace.

    With another email address it is another key: Stripe refuses a key whose parameters changed.
    """
    if idempotency_key is None:
        return None
    digest = hashlib.sha256(f"{idempotency_key} {email}".encode()).hexdigest()
    return f"payflow-user-{user_id}-{digest}"


def _url_again(
    customer: Customer, conversation: Conversation, tier: str, link: CheckoutLink
) -> str:
    """The URL of a link that the same Idempotency-Key made. Raises as `start_checkout` does."""
    if (link.conversation_id, link.tier) != (conversation.pk, tier):
        raise client.IdempotencyKeyReused
    session = client.retrieve_session(link.stripe_session_id)
    if session and session.get("status") == "open":
        return str(session["url"])
    reconcile(link.stripe_session_id)  # it may have been paid, and its event be late
    _refuse_if_paid_or_pending(_conversation_of(customer, conversation.pk))
    raise SessionExpired


def _refuse_if_paid_or_pending(conversation: Conversation) -> None:
    if conversation.is_paid:
        raise AlreadyPaid
    if Order.objects.filter(conversation=conversation, status=OrderStatus.PENDING).exists():
        raise PaymentUnderWay


def _make_current(conversation: Conversation, link: CheckoutLink) -> str | None:
    """Make the link's session the conversation's current one; return the session it replaces.

    A new link is saved, before anybody gets its URL. The conversation may have been paid during
    the call to Stripe: it is read again under its lock and stays paid, and the caller checks it
    once more afterwards.
    """
    with transaction.atomic():
        conversation = Conversation.objects.locked().get(pk=conversation.pk)
        if link._state.adding:
            links.save(link)
        replaced = conversation.stripe_session_id
        conversation.mark_pending(link.stripe_session_id)
    return replaced if replaced != link.stripe_session_id and not conversation.is_paid else None


def _close(session_id: str) -> None:
    """Expire a session, or apply its result if it is not open any more.

    Best effort: if Stripe does not answer, its events and reconcile_orders report the result.
    """
    try:
        if client.expire_session(session_id):
            links.close(session_id)
        else:
            reconcile(session_id)
    except client.StripeFailed:
        logger.warning("Session %s could not be expired", session_id)
