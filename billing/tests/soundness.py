"""What holds of a conversation's payments at every moment, in whatever order things were said."""

from __future__ import annotations

from apikeys.models import ApiKey
from billing.models import Order
from conversations.models import Conversation


def assert_sound(conversation: Conversation) -> None:
    """While good orders stand it is paid; one has the only key, the others are to be refunded."""
    conversation.refresh_from_db()
    good = list(Order.objects.good().filter(conversation=conversation))
    assert conversation.is_paid is bool(good)
    firsts = [order for order in good if not order.is_duplicate]
    assert len(firsts) == bool(good)
    keys = ApiKey.objects.not_revoked().filter(order__conversation=conversation)
    assert [key.pk for key in keys] == [order.api_key_id for order in firsts]
    for order in firsts:
        assert (keys[0].suspended_at is not None) is order.is_disputed
