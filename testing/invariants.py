"""What holds of a conversation's payments at every moment, in whatever order things were said."""

from __future__ import annotations

from apikeys.models import Grant
from billing.models import Order
from conversations.models import Conversation


def assert_invariants(conversation: Conversation) -> None:
    """While good orders stand it is paid, and one has the only grant that is not revoked."""
    conversation.refresh_from_db()
    good = Order.objects.good().filter(conversation=conversation)
    assert conversation.is_paid is good.exists()
    standing = list(good.filter(is_duplicate=False))
    assert bool(standing) is conversation.is_paid
    assert len(standing) <= 1
    grants = Grant.objects.not_revoked().filter(user=conversation.user_id)
    assert [(grant.pk, grant.suspended_at is not None) for grant in grants] == [
        (order.grant_id, order.is_disputed) for order in standing
    ]
    for grant in Grant.objects.filter(user=conversation.user_id):
        assert grant.keys.count() == grant.orders.count() == 1
