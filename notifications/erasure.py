"""Remove a person from the outbox. The rows stay: a replay must find them."""

from __future__ import annotations

from collections.abc import Iterable

from notifications.models import MailStatus, Notification, NotificationQuerySet


def erase(user_id: int) -> None:
    """Remove what people wrote, and the texts of mail servers; what still waits is not sent."""
    own = Notification.objects.owned_by(user_id)
    own.waiting().update(mail_status=MailStatus.SKIPPED, mail_due_at=None)
    own.exclude(mail_error="").update(mail_error="")
    erase_reasons([user_id])
    _remove("network", own)


def erase_reasons(user_ids: Iterable[int]) -> None:
    """Remove what staff wrote to these users."""
    _remove("reason", Notification.objects.filter(user_id__in=list(user_ids)))


def _remove(name: str, notifications: NotificationQuerySet) -> None:
    for notification in notifications.filter(data__has_key=name):
        del notification.data[name]
        notification.save(update_fields=["data"])
