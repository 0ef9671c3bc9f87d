"""The only writers of grants and API keys.

Each function that changes a row locks it, so that of two calls at once one wins. Locks are taken
in the order user, grant, key. Nothing here stores a usable key: `create`, `reveal` and `rotate`
return one, once, to their caller.

What becomes of a payment is written to its grant only (`update_grant`); what an owner or staff do
to one key, to that key only. Neither ever has to undo what the other did.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from apikeys import tokens
from apikeys.cache.store import CACHE
from apikeys.models import ApiKey, Grant

MAX_LIVE_KEYS = 20
# Rotation must work for an owner who has all their keys. The keys that it leaves in their grace
# period have a limit of their own: docs/decisions/0010.
MAX_ROTATED_KEYS = MAX_LIVE_KEYS
MAX_GRACE = timedelta(days=7)
DEFAULT_GRACE = timedelta(days=1)
# From a request's arrival to the row. Servers whose clocks differ by more must not keep an owner
# from deleting a key.
MAX_REQUEST_AGE = timedelta(seconds=10)
REVOKED_BY_OWNER = "Deleted by its owner."


class ApiKeyError(Exception):
    """Why a service did nothing. `code` and `detail` are for the user."""

    code = "refused"
    detail = ""


class KeyNotFound(ApiKeyError):
    """No such key of this user, or it is revoked."""

    code = "not_found"
    detail = "You have no such key."


class AlreadyRevealed(ApiKeyError):
    code = "already_revealed"
    detail = "This key was shown before. It cannot be shown again."


class RevealedConcurrently(ApiKeyError):
    """The key was revealed after the delete was requested."""

    code = "revealed_meanwhile"
    detail = "This key was revealed at the same moment. Delete it again if it is to go."


class AlreadyRotated(ApiKeyError):
    code = "already_rotated"
    detail = "This key has a successor already. Rotate that one."


class NotUsable(ApiKeyError):
    """The key or its grant is suspended, or the key has expired."""

    code = "key_not_usable"
    detail = "This key is suspended or has expired."


class NoUsableGrant(NotUsable):
    """All grants of the user are suspended or stopped."""

    detail = "Your payment is disputed, or support has stopped its keys: no key can be made now."


class TooManyKeys(ApiKeyError):
    code = "too_many_keys"
    detail = f"You have {MAX_LIVE_KEYS} live keys, as many as anybody may have. Delete one first."


class TooManyRotated(TooManyKeys):
    detail = f"{MAX_ROTATED_KEYS} keys of yours have a successor and still work. Delete one first."


class NotEntitled(ApiKeyError):
    """The user has no grant, or none that was not revoked."""

    code = "payment_required"
    detail = "A new key needs a completed payment that was not returned."


def issue(*, user_id: int, name: str, tier: str = "") -> ApiKey:
    """Create a grant and its first key, whose secret nobody has seen.

    The secret is dropped here; `reveal` mints the real one. A replayed payment can therefore
    neither mint nor leak a usable key.
    """
    grant = Grant.objects.create(user_id=user_id, tier=tier)
    columns = tokens.stored_columns(tokens.generate())
    return ApiKey.objects.create(user_id=user_id, grant=grant, name=name, **columns)


def lock_grant(grant_id: int) -> Grant:
    """The grant, locked until the transaction ends."""
    return Grant.objects.locked().get(pk=grant_id)


def update_grant(grant: Grant, *, revoked: bool, suspended: bool) -> None:
    """Write what the grant's payments say.

    The caller has locked the grant and decides from all of its orders, so the result does not
    depend on what was written before.
    """
    now = timezone.now()
    revoked_at = (grant.revoked_at or now) if revoked else None
    suspended_at = (grant.suspended_at or now) if suspended else None
    if (revoked_at, suspended_at) == (grant.revoked_at, grant.suspended_at):
        return
    grant.revoked_at, grant.suspended_at = revoked_at, suspended_at
    grant.save(update_fields=["revoked_at", "suspended_at", "updated_at"])
    _forget_grant(grant.pk)


@transaction.atomic
def stop_grant(grant_id: int, *, reason: str) -> bool:
    """Stop every key of a grant until `resume_grant`; for staff. False if it was stopped before."""
    grant = lock_grant(grant_id)
    if grant.stopped_at is not None:
        return False
    _set_stop(grant, timezone.now(), reason)
    return True


@transaction.atomic
def resume_grant(grant_id: int) -> bool:
    """Undo `stop_grant`, and nothing that the payment did. False if it was not stopped."""
    grant = lock_grant(grant_id)
    if grant.stopped_at is None:
        return False
    _set_stop(grant, None, "")
    return True


@transaction.atomic
def create(*, user_id: int, name: str, expires_at: datetime | None) -> tuple[ApiKey, str]:
    """Make another key under the user's newest usable grant, and return it with its secret.

    Raises NotEntitled, NoUsableGrant and TooManyKeys. The user's row is locked first, so of two
    calls at once at the limit, one is refused.
    """
    get_user_model()._default_manager.select_for_update(no_key=True).get(pk=user_id)
    grant = _newest_usable_grant(user_id)
    now = timezone.now()
    live = ApiKey.objects.owned_by(user_id).live(now)
    if live.filter(rotated_at=None).count() >= MAX_LIVE_KEYS:
        raise TooManyKeys
    secret = tokens.generate()
    key = ApiKey.objects.create(
        user_id=grant.user_id,
        grant=grant,
        name=name,
        expires_at=expires_at,
        revealed_at=now,
        **tokens.stored_columns(secret),
    )
    return key, secret


@transaction.atomic
def reveal(*, user_id: int | None, key_id: int) -> tuple[ApiKey, str]:
    """Mint the key's secret and return it, the only time.

    Raises KeyNotFound, AlreadyRevealed, AlreadyRotated, NotUsable.
    """
    key = _locked_with_grant(user_id, key_id)
    if key.is_revealed:
        raise AlreadyRevealed
    if key.rotated_at is not None:
        raise AlreadyRotated
    if not key.may_authenticate():
        raise NotUsable
    secret = tokens.generate()
    for name, value in tokens.stored_columns(secret).items():
        setattr(key, name, value)
    key.revealed_at = timezone.now()
    key.save(update_fields=["key_hash", "key_prefix", "revealed_at", "updated_at"])
    return key, secret


@transaction.atomic
def rotate(
    *, user_id: int | None, key_id: int, grace: timedelta = DEFAULT_GRACE
) -> tuple[ApiKey, str]:
    """Give a key a successor of the same name, grant and expiry; return that with its secret.

    The old key works on for `grace`, or until its own end where that is sooner. Raises
    KeyNotFound, AlreadyRotated, NotUsable, TooManyKeys.
    """
    old = _locked_with_grant(user_id, key_id)
    now = timezone.now()
    _check_rotatable(old, now)
    inherited = old.expires_at
    old.rotated_at = now
    old.expires_at = min(inherited or now + grace, now + grace)
    old.save(update_fields=["rotated_at", "expires_at", "updated_at"])
    _forget(old.key_hash)
    secret = tokens.generate()
    successor = ApiKey.objects.create(
        user_id=old.user_id,
        grant=old.grant,
        name=old.name,
        expires_at=inherited,
        predecessor=old,
        revealed_at=now,
        **tokens.stored_columns(secret),
    )
    return successor, secret


@transaction.atomic
def rename(*, user_id: int | None, key_id: int, name: str) -> ApiKey:
    """Change the name of a user's key. Raises KeyNotFound."""
    key = _locked(user_id, key_id)
    key.name = name
    key.save(update_fields=["name", "updated_at"])
    _forget(key.key_hash)
    return key


def delete(*, user_id: int | None, key_id: int, asked_at: datetime) -> ApiKey:
    """Revoke a key at its owner's request. Raises KeyNotFound, RevealedConcurrently.

    Of a reveal and a delete at the same time one wins: nobody is shown a key that is revoked when
    they use it. "At the same time" is: revealed after our first read, or after the request came.
    """
    owned = ApiKey.objects.owned_by(user_id).filter(pk=key_id)
    seen = owned.values_list("revealed_at", flat=True).first()
    with transaction.atomic():
        key = _locked(user_id, key_id)
        if key.revealed_at != seen or _is_after(key.revealed_at, asked_at):
            raise RevealedConcurrently
        _revoke(key, REVOKED_BY_OWNER)
    return key


@transaction.atomic
def revoke(key_id: int, *, reason: str) -> bool:
    """Revoke a key, for staff. False if it was revoked before."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.revoked_at is not None:
        return False
    _revoke(key, reason)
    return True


@transaction.atomic
def suspend(key_id: int) -> bool:
    """Stop one key until `restore`, for staff. False if it was suspended or revoked before."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.suspended_at or key.revoked_at:
        return False
    _set_suspension(key, timezone.now())
    return True


@transaction.atomic
def restore(key_id: int) -> bool:
    """Undo `suspend`; a revoked key stays revoked. False if it was not suspended."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.suspended_at is None:
        return False
    _set_suspension(key, None)
    return True


def _set_stop(grant: Grant, at: datetime | None, reason: str) -> None:
    grant.stopped_at, grant.stopped_reason = at, reason
    grant.save(update_fields=["stopped_at", "stopped_reason", "updated_at"])
    _forget_grant(grant.pk)


def _set_suspension(key: ApiKey, at: datetime | None) -> None:
    key.suspended_at = at
    key.save(update_fields=["suspended_at", "updated_at"])
    _forget(key.key_hash)


def _revoke(key: ApiKey, reason: str) -> None:
    key.revoked_at = timezone.now()
    key.revoked_reason = reason
    key.save(update_fields=["revoked_at", "revoked_reason", "updated_at"])
    _forget(key.key_hash)


def _forget(digest: str) -> None:
    """After the commit: this process knows at once, the others by NOTIFY."""
    transaction.on_commit(partial(CACHE.invalidate, digest))


def _forget_grant(grant_id: int) -> None:
    transaction.on_commit(partial(CACHE.invalidate_grant, grant_id))


def _check_rotatable(key: ApiKey, now: datetime) -> None:
    if key.rotated_at is not None:
        raise AlreadyRotated
    if not key.may_authenticate(now):
        raise NotUsable
    live = ApiKey.objects.owned_by(key.user_id).live(now)
    if live.filter(rotated_at__isnull=False).count() >= MAX_ROTATED_KEYS:
        raise TooManyRotated


def _is_after(revealed_at: datetime | None, asked_at: datetime) -> bool:
    """Whether the key was revealed while the request was on its way."""
    return revealed_at is not None and asked_at < revealed_at < asked_at + MAX_REQUEST_AGE


def _newest_usable_grant(user_id: int) -> Grant:
    """The grant, locked. One statement, so that never two grants are waited for."""
    own = Grant.objects.owned_by(user_id)
    grant = own.usable().order_by("-pk").locked().first()
    if grant is not None:
        return grant
    raise NoUsableGrant if own.not_revoked().exists() else NotEntitled


def _locked(user_id: int | None, key_id: int) -> ApiKey:
    """The user's key, locked. Raises KeyNotFound."""
    own = ApiKey.objects.owned_by(user_id).not_revoked()
    key = own.select_related("grant").locked().filter(pk=key_id).first()
    if key is None:
        raise KeyNotFound
    return key


def _locked_with_grant(user_id: int | None, key_id: int) -> ApiKey:
    """The user's key, locked after its grant, whose state then stays. Raises KeyNotFound."""
    own = ApiKey.objects.owned_by(user_id).filter(pk=key_id)
    grant_id = own.values_list("grant_id", flat=True).first()
    if grant_id is None:
        raise KeyNotFound
    grant = lock_grant(grant_id)
    key = _locked(user_id, key_id)
    key.grant = grant
    return key
