"""Builders of payment links."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from billing.models import CheckoutLink
from conversations.models import Conversation
from testing import stripe_events as stripe

Json = stripe.Json


def linked_session(conversation: Conversation, **fields: Any) -> Json:
    """A session that this server made: it has a link, whose id is in its metadata."""
    session = stripe.session(conversation, **fields)
    link_id = f"link_of_{session['id']}"
    session["metadata"] = {**session["metadata"], "link_id": link_id}
    CheckoutLink.objects.create(
        link_id=link_id,
        stripe_session_id=session["id"],
        user_id=conversation.user_id,
        conversation_id=conversation.pk,
        tier="premium",
        stripe_price_id="price_sandbox_premium",
        amount_cents=2000,
        created_at=datetime.fromtimestamp(session["created"], UTC),
    )
    return session


def completed(conversation: Conversation, **fields: Any) -> Json:
    """`checkout.session.completed` for a paid session that this server made."""
    return stripe.event("checkout.session.completed", linked_session(conversation, **fields))
