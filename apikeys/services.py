"""The only writers of API keys.

Each function that changes a key locks its row, so two of them at once have one winner. Nothing
here returns or stores a usable key except `reveal`, which returns it once to its caller.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from apikeys import tokens
from apikeys.models import ApiKey

LAST_USED_RESOLUTION = timedelta(minutes=1)
REVOKED_BY_OWNER = "Deleted by its owner."


class KeyNotFound(Exception):
    """No such key of this user, or it is revoked."""


class AlreadyRevealed(Exception):
    """The key was shown before; it is never shown again."""


def issue(*, user_id: int, name: str) -> ApiKey:
    """Create a key that nobody has seen: its secret is dropped here, `reveal` mints the real one.

    A replayed payment can therefore neither mint nor leak a usable key.
    """
    unseen = tokens.generate()
    return ApiKey.objects.create(
        user_id=user_id,
        name=name,
        key_hash=tokens.digest(unseen),
        key_prefix=tokens.prefix(unseen),
    )


@transaction.atomic
def reveal(*, user_id: int | None, key_id: int) -> tuple[ApiKey, str]:
    """Mint the key's secret and return it, the only time. Raises KeyNotFound, AlreadyRevealed."""
    key = _locked(user_id, key_id)
    if key.is_revealed:
        raise AlreadyRevealed
    secret = tokens.generate()
    key.key_hash = tokens.digest(secret)
    key.key_prefix = tokens.prefix(secret)
    key.revealed_at = timezone.now()
    key.save(update_fields=["key_hash", "key_prefix", "revealed_at", "updated_at"])
    return key, secret


@transaction.atomic
def revoke(*, user_id: int | None, key_id: int, reason: str) -> ApiKey:
    """End a user's key for good; its row stays. Raises KeyNotFound, also if revoked before."""
    key = _locked(user_id, key_id)
    _end(key, reason)
    return key


@transaction.atomic
def revoke_any(key_id: int, *, reason: str) -> bool:
    """End a key whoever it belongs to: its payment went back. False if it had ended before."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.revoked_at is not None:
        return False
    _end(key, reason)
    return True


@transaction.atomic
def reinstate(key_id: int) -> bool:
    """Take back a `revoke_any`: the money did not go after all. False if it was not revoked.

    Only for the caller whose `revoke_any` returned True; every other revocation is one way.
    """
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.revoked_at is None:
        return False
    key.revoked_at = None
    key.revoked_reason = ""
    key.save(update_fields=["revoked_at", "revoked_reason", "updated_at"])
    return True


@transaction.atomic
def suspend(key_id: int) -> bool:
    """Stop a key for now: its payment is disputed. False if it was suspended before."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.suspended_at is not None:
        return False
    key.suspended_at = timezone.now()
    key.save(update_fields=["suspended_at", "updated_at"])
    return True


@transaction.atomic
def restore(key_id: int) -> bool:
    """Lift a suspension; a revoked key stays revoked. False if it was not suspended."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.suspended_at is None:
        return False
    key.suspended_at = None
    key.save(update_fields=["suspended_at", "updated_at"])
    return True


def note_use(key: ApiKey) -> None:
    """Record that the key was used, at most once a minute and without waiting for anybody.

    A request must not queue behind whoever holds the row: on PostgreSQL a locked row is skipped
    and the next request tries again.
    """
    now = timezone.now()
    if key.last_used_at is not None and now - key.last_used_at < LAST_USED_RESOLUTION:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - LAST_USED_RESOLUTION)
    with transaction.atomic():
        row = ApiKey.objects.filter(stale, pk=key.pk)
        if connection.features.has_select_for_update_skip_locked:
            row = row.select_for_update(skip_locked=True, no_key=True)
        ApiKey.objects.filter(pk__in=row.values("pk")).update(last_used_at=now)


def _end(key: ApiKey, reason: str) -> None:
    key.revoked_at = timezone.now()
    key.revoked_reason = reason
    key.save(update_fields=["revoked_at", "revoked_reason", "updated_at"])


def _locked(user_id: int | None, key_id: int) -> ApiKey:
    """The user's key, locked. The lock order ends here: nothing else may be locked after it."""
    try:
        return ApiKey.objects.owned_by(user_id).not_revoked().locked().get(pk=key_id)
    except ApiKey.DoesNotExist:
        raise KeyNotFound from None
