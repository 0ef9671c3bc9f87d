"""Builders of API keys."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts.models import User
from apikeys import tokens
from apikeys.models import ApiKey, Grant
from billing.models import Order
from conversations.models import Conversation
from testing import stripe_events as stripe


def revealed_key(user: User, **columns: Any) -> tuple[ApiKey, str]:
    """A revealed key of this user, and its secret."""
    secret = tokens.generate()
    key = ApiKey.objects.create(
        user=user,
        grant=columns.pop("grant", None) or Grant.objects.create(user=user, tier="premium"),
        name=columns.pop("name", "a key"),
        key_hash=tokens.digest(secret),
        key_prefix=tokens.prefix(secret),
        **{"revealed_at": timezone.now(), **columns},
    )
    return key, secret


def paid_key(conversation: Conversation) -> ApiKey:
    """The key that a payment for this conversation has just issued."""
    stripe.deliver(stripe.completed(conversation))
    return issued_key(conversation.orders.get())


def issued_key(order: Order) -> ApiKey:
    """The key that the payment of this order issued."""
    assert order.grant is not None
    key = order.grant.issued_key
    assert key is not None
    return key
