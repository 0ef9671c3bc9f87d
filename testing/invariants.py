"""Invariants of a conversation's payments, whatever order the events arrive in."""

from __future__ import annotations

from apikeys.models import Grant
from billing.models import Order
from conversations.models import Conversation


def assert_invariants(conversation: Conversation) -> None:
    """It is paid if it has a good order, and one such order has the only unrevoked grant."""
    conversation.refresh_from_db()
    good = Order.objects.good().filter(conversation=conversation)
    assert conversation.is_paid is good.exists()
    paying = list(good.filter(is_duplicate=False))
    assert bool(paying) is conversation.is_paid
    assert len(paying) <= 1
    grants = Grant.objects.not_revoked().filter(user=conversation.user_id)
    assert [(grant.pk, grant.suspended_at is not None) for grant in grants] == [
        (order.grant_id, order.is_disputed) for order in paying
    ]
    for grant in Grant.objects.filter(user=conversation.user_id):
        assert grant.keys.count() == grant.orders.count() == 1
