"""Events for other systems, made of the outbox, in one order that never changes.

A row gets its position after its commit, from one process at a time. So nothing that commits late
is skipped, and what happened to one conversation, whose transactions wait for each other, is in the
order in which it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from notifications.models import Delivery, Endpoint, Notification

Json = dict[str, Any]
BATCH = 500
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('payflow outbox positions', 0))"
# For mail only.
_NOT_TOLD = {"reason", "canCreate"}

# What the apps know about rows: set by payflow, which knows them all.
Describe = Callable[[Sequence[Notification]], Mapping[int, Json]]


class _Describing:
    describe: Describe = staticmethod(lambda notifications: {})


def describe_by(describe: Describe) -> None:
    """Let this function add members to `data`: by the primary key of each row."""
    _Describing.describe = staticmethod(describe)


def number() -> int:
    """Give the new events their positions, and each enabled endpoint its deliveries of them.

    Returns how many; 0 too while another process does so.
    """
    with transaction.atomic():
        if not _may_number():
            return 0
        new = Notification.objects.filter(is_event=True, position=None).order_by("pk")
        ids = list(new.values_list("pk", flat=True)[:BATCH])
        last = Notification.objects.aggregate(last=Max("position"))["last"] or 0
        _set_positions(ids, last)
        endpoints = Endpoint.objects.enabled().values_list("pk", flat=True)
        now = timezone.now()
        Delivery.objects.bulk_create(
            Delivery(endpoint_id=endpoint_id, notification_id=pk, due_at=now)
            for endpoint_id in endpoints
            for pk in ids
        )
    return len(ids)


def after(position: int, limit: int) -> list[Notification]:
    """The events after this position, in order."""
    later = Notification.objects.filter(position__gt=position).order_by("position")
    return list(later[:limit])


def bodies(notifications: Sequence[Notification]) -> list[Json]:
    """The events as they are sent and listed."""
    described = _Describing.describe(notifications)
    return [_body(each, described.get(each.pk, {})) for each in notifications]


def _body(notification: Notification, described: Json) -> Json:
    told = {name: value for name, value in notification.data.items() if name not in _NOT_TOLD}
    ids = {"userId": notification.user_id, "conversationId": notification.conversation_id}
    return {
        "id": notification.public_id,
        "type": notification.kind,
        "timestamp": notification.created_at.isoformat().replace("+00:00", "Z"),
        "data": {**ids, **told, **described},
    }


def _may_number() -> bool:
    """Whether no other process numbers rows. SQLite has one writer anyway."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
        return bool(cursor.fetchone()[0])


def _set_positions(ids: Iterable[int], last: int) -> None:
    rows = [Notification(pk=pk, position=last + n) for n, pk in enumerate(ids, 1)]
    Notification.objects.bulk_update(rows, ["position"])
