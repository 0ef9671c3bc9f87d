"""What holds of a conversation's payments at every moment, in whatever order things were said."""

from __future__ import annotations

from apikeys.models import ApiKey
from billing.models import Order
from conversations.models import Conversation


def assert_sound(conversation: Conversation) -> None:
    """While good orders stand it is paid, and one has the only key; the others are duplicates."""
    conversation.refresh_from_db()
    good = Order.objects.good().filter(conversation=conversation)
    assert conversation.is_paid is good.exists()
    with_key = list(good.filter(is_duplicate=False).order_by("api_key"))
    assert bool(with_key) is conversation.is_paid
    assert len(with_key) <= 1
    keys = ApiKey.objects.not_revoked().filter(user=conversation.user_id).order_by("pk")
    assert [(key.pk, key.suspended_at is not None) for key in keys] == [
        (order.api_key_id, order.is_disputed) for order in with_key
    ]
