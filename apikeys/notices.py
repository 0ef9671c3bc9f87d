"""What owners and staff do to keys, as rows of the outbox. Payments tell theirs in billing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from apikeys.models import ApiKey, Grant
from notifications import outbox

BY_OWNER, BY_STAFF, BY_ERASURE = "owner", "staff", "erasure"


def issued(key: ApiKey) -> None:
    """By its owner, to whom it was shown at once."""
    _record("key.issued", f"key/{key.pk}", key.user_id, [key.pk], by=BY_OWNER)


def revealed(key: ApiKey) -> None:
    _record("key.revealed", f"key/{key.pk}", key.user_id, [key.pk], by=BY_OWNER)


def rotated(old: ApiKey, successor: ApiKey) -> None:
    facts: dict[str, Any] = {"replacedKeyIds": [old.pk]}
    if old.expires_at is not None:
        facts["endsAt"] = old.expires_at.isoformat()
    cause = f"key/{old.pk}"
    _record("key.rotated", cause, old.user_id, [successor.pk], by=BY_OWNER, mail=True, **facts)


def revoked(key: ApiKey, *, by: str, reason: str = "") -> None:
    """Mailed if staff did it, with the reason."""
    mail = by == BY_STAFF
    facts = {"canCreate": True, "reason": reason} if mail else {}
    _record("key.revoked", f"key/{key.pk}", key.user_id, [key.pk], by=by, mail=mail, **facts)


def suspended(key: ApiKey, at: datetime, reason: str) -> None:
    _stopped("key.suspended", f"key/{key.pk}", at, key.user_id, [key.pk], reason)


def restored(key: ApiKey, at: datetime, reason: str) -> None:
    _stopped("key.restored", f"key/{key.pk}", at, key.user_id, [key.pk], reason)


def grant_stopped(grant: Grant, at: datetime, reason: str) -> None:
    _stopped("key.suspended", f"grant/{grant.pk}", at, grant.user_id, _keys_of(grant), reason)


def grant_resumed(grant: Grant, at: datetime, reason: str) -> None:
    _stopped("key.restored", f"grant/{grant.pk}", at, grant.user_id, _keys_of(grant), reason)


def expiring(key: ApiKey, ends_at: datetime, *, before: int, days_left: int) -> bool:
    """Whether it was told now: once for each end and number of days."""
    cause = f"key/{key.pk}/{before}/{ends_at.isoformat()}"
    data = {"keyIds": [key.pk], "days": days_left, "endsAt": ends_at.isoformat()}
    return outbox.record("key.expiring", cause, user_id=key.user_id, data=data)


def _keys_of(grant: Grant) -> list[int]:
    return list(grant.keys.filter(revoked_at=None).order_by("pk").values_list("pk", flat=True))


def _stopped(
    kind: str, subject: str, at: datetime, user_id: int, key_ids: list[int], reason: str
) -> None:
    """By staff: what can happen again is named by its time too."""
    if key_ids:
        cause = f"{subject}/{at.isoformat()}"
        _record(kind, cause, user_id, key_ids, by=BY_STAFF, mail=True, reason=reason)


def _record(
    kind: str,
    cause: str,
    user_id: int,
    key_ids: Iterable[int],
    *,
    mail: bool = False,
    **facts: Any,
) -> None:
    data = {"keyIds": list(key_ids), **facts}
    outbox.record(kind, cause, user_id=user_id, data=data, mail=mail)
