"""What mail about keys says beyond the stored data: their names, read when it is sent."""

from __future__ import annotations

from django.utils.translation import gettext

from apikeys.models import ApiKey
from notifications import kinds
from notifications.kinds import Context
from notifications.models import Notification
from payflow.templatetags import customer

KINDS = (
    "key.rotated",
    "key.revoked",
    "key.suspended",
    "key.restored",
    "key.waiting",
    "key.expiring",
)


def with_names(notification: Notification) -> Context | None:
    """The names that the page of keys shows. None if none of the keys exists any more."""
    data = kinds.readable(notification)
    # Of a rotation, the key that its owner knows.
    ids = data.get("replacedKeyIds") or data["keyIds"]
    keys = customer.with_payments(ApiKey.objects.filter(pk__in=ids).order_by("pk"))
    if not keys:
        return None
    names = (gettext("“%(name)s”") % {"name": customer.title(key)} for key in keys)
    return {**data, "keyNames": ", ".join(names), "keyCount": len(keys)}


def register() -> None:
    kinds.describe(with_names, *KINDS)
