"""Write to the outbox, in the transaction that has the cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.utils import timezone

from notifications.kinds import KINDS
from notifications.models import MailStatus, Notification

MAX_CAUSE = 512


class NotInTransaction(RuntimeError):
    """The row could be lost, or told although its cause was rolled back."""


def record(
    kind: str,
    cause: str,
    *,
    user_id: int,
    conversation_id: int | None = None,
    data: Mapping[str, Any] | None = None,
    mail: bool = True,
) -> bool:
    """Tell it once: nothing is written, and False returned, if the cause has a row of this kind.

    `data` holds ids and amounts, no names, addresses, secrets or hashes. Without `mail` only other
    systems are told. Raises KeyError for an unknown kind, and NotInTransaction.
    """
    described = KINDS[kind]
    if not connection.in_atomic_block:
        raise NotInTransaction(kind)
    if Notification.objects.filter(cause=cause, kind=kind).exists():
        return False
    mailed = mail and bool(described.subject)
    notification = Notification(
        kind=kind,
        cause=cause[:MAX_CAUSE],
        user_id=user_id,
        conversation_id=conversation_id,
        data=dict(data or {}),
        is_event=described.is_event,
        mail_status=MailStatus.WAITING if mailed else MailStatus.NONE,
        mail_due_at=timezone.now() + described.delay if mailed else None,
    )
    # Another transaction may write the same row meanwhile.
    Notification.objects.bulk_create([notification], ignore_conflicts=True)
    return True
