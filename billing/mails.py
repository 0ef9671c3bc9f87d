"""What mail about payments depends on when it is sent."""

from __future__ import annotations

from conversations.models import Conversation, PaymentStatus
from notifications import kinds
from notifications.kinds import Context
from notifications.models import Notification


def if_still_failed(notification: Notification) -> Context | None:
    """Whoever paid since, or has a new link, needs no mail about the attempt that failed."""
    failed = Conversation.objects.filter(payment_status=PaymentStatus.FAILED)
    is_failed = failed.filter(pk=notification.conversation_id or 0).exists()
    return kinds.readable(notification) if is_failed else None


def register() -> None:
    kinds.describe(if_still_failed, "payment.declined")
