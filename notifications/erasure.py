"""Remove a person from the outbox. The rows stay: a replay must find them."""

from __future__ import annotations

from collections.abc import Iterable

from notifications.models import MailStatus, Notification


def erase(user_id: int) -> None:
    """Remove what people wrote, and the texts of mail servers; what still waits is not sent."""
    own = Notification.objects.owned_by(user_id)
    own.waiting().update(mail_status=MailStatus.SKIPPED, mail_due_at=None)
    own.exclude(mail_error="").update(mail_error="")
    erase_reasons([user_id])


def erase_reasons(user_ids: Iterable[int]) -> None:
    """Remove what staff wrote to these users."""
    for notification in Notification.objects.filter(
        user_id__in=list(user_ids), data__has_key="reason"
    ):
        del notification.data["reason"]
        notification.save(update_fields=["data"])
