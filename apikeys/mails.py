"""What mail about keys says beyond the stored data: their names, read when it is sent."""

from __future__ import annotations

from apikeys.models import ApiKey
from notifications import kinds
from notifications.kinds import Context
from notifications.models import Notification

KINDS = (
    "key.rotated",
    "key.revoked",
    "key.suspended",
    "key.restored",
    "key.waiting",
    "key.expiring",
)


def with_names(notification: Notification) -> Context | None:
    """None if none of the keys exists any more."""
    data = kinds.readable(notification)
    # Of a rotation, the key that its owner knows.
    ids = data.get("replacedKeyIds") or data["keyIds"]
    names = list(ApiKey.objects.filter(pk__in=ids).order_by("pk").values_list("name", flat=True))
    if not names:
        return None
    shown = ", ".join(f"“{name}”" for name in names)
    return {**data, "keyNames": shown, "keyCount": len(names)}


def register() -> None:
    kinds.describe(with_names, *KINDS)
