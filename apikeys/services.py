"""Create and change grants and API keys. No other module writes them.

Each function locks the rows that it changes, in the order user, grant, key. No usable key is
stored: `create`, `reveal` and `rotate` return the secret once to their caller. With a `token` (an
Idempotency-Key, or the token of a form) the secret is not random but computed from the request, so
that a repeat whose first answer was lost is answered too. Tokens are neither stored nor logged.

Payments change a grant only (`update_grant`); owner and staff change a key only, and staff may
stop a grant (`stop_grant`). So neither has to undo what the other did.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from apikeys import errors, metrics, notices, tokens
from apikeys.cache.store import CACHE
from apikeys.models import ApiKey, Grant
from notifications import erasure

MAX_GRACE = timedelta(days=7)
DEFAULT_GRACE = timedelta(days=1)
# Longest time from a request's arrival to its change of the row. A larger difference is a wrong
# clock, which must not prevent an owner from deleting a key.
MAX_REQUEST_AGE = timedelta(seconds=10)
REVOKED_BY_OWNER = "Deleted by its owner."
ERASED = "[erased]"  # in place of what was written by or about an erased user


def issue(*, user_id: int, name: str, tier: str = "") -> ApiKey:
    """Create a grant and its first key, which can't be used until it is revealed.

    Its secret is discarded here; `reveal` generates the real one. So a replayed payment can
    neither create nor leak a usable key.
    """
    grant = Grant.objects.create(user_id=user_id, tier=tier)
    columns = tokens.stored_columns(tokens.generate())
    metrics.count_after_commit(metrics.ISSUED)
    return ApiKey.objects.create(user_id=user_id, grant=grant, name=name, **columns)


def lock_grant(grant_id: int) -> Grant:
    """The grant, locked until the transaction ends."""
    return Grant.objects.locked().get(pk=grant_id)


def update_grant(grant: Grant, *, revoked: bool, suspended: bool) -> None:
    """Set the state that follows from the grant's payments.

    The caller has locked the grant and computed the state from all of its orders, so the result
    does not depend on the earlier state.
    """
    now = timezone.now()
    revoked_at = (grant.revoked_at or now) if revoked else None
    suspended_at = (grant.suspended_at or now) if suspended else None
    if (revoked_at, suspended_at) == (grant.revoked_at, grant.suspended_at):
        return
    grant.revoked_at, grant.suspended_at = revoked_at, suspended_at
    if revoked and grant.revoked_at == now:
        metrics.count_after_commit(*[metrics.REVOKED] * grant.keys.not_revoked().count())
    grant.save(update_fields=["revoked_at", "suspended_at", "updated_at"])
    _invalidate_grant(grant.pk)


@transaction.atomic
def stop_grant(grant_id: int, *, reason: str) -> bool:
    """Stop all keys of a grant until `resume_grant`, for staff. False if it was stopped already."""
    grant = lock_grant(grant_id)
    if grant.stopped_at is not None:
        return False
    now = timezone.now()
    _set_stopped(grant, now, reason)
    notices.grant_stopped(grant, now, reason)
    return True


@transaction.atomic
def resume_grant(grant_id: int, *, reason: str = "") -> bool:
    """Undo `stop_grant`; the payment's effects stay. False if it was not stopped.

    Its owner is told the reason.
    """
    grant = lock_grant(grant_id)
    if grant.stopped_at is None:
        return False
    _set_stopped(grant, None, "")
    notices.grant_resumed(grant, timezone.now(), reason)
    return True


@transaction.atomic
def create(
    *, user_id: int, name: str, expires_at: datetime | None, token: str | None = None
) -> tuple[ApiKey, str]:
    """Create a key under the user's newest usable grant; return it and its secret.

    A repeat with the same token within REPEATABLE_FOR returns the same. Raises NotEntitled,
    NoUsableGrant, TooManyKeys, AlreadyCreated, DifferentRequest. The user's row is locked first,
    so that concurrent calls can't exceed the limit.
    """
    get_user_model()._default_manager.select_for_update(no_key=True).get(pk=user_id)
    secret = _secret(user_id, "create", None, token)
    created = _shown_key(user_id, secret) if token else None
    if created is not None:
        if (created.name, created.expires_at) != (name, expires_at):
            raise errors.DifferentRequest
        if not created.was_just_shown:
            raise errors.AlreadyCreated
        return created, secret
    grant = _newest_usable_grant(user_id)
    now = timezone.now()
    live = ApiKey.objects.owned_by(user_id).live(now)
    if live.filter(rotated_at=None).count() >= errors.MAX_LIVE_KEYS:
        raise errors.TooManyKeys
    key = ApiKey.objects.create(
        user_id=grant.user_id,
        grant=grant,
        name=name,
        expires_at=expires_at,
        revealed_at=now,
        **tokens.stored_columns(secret),
    )
    notices.issued(key)
    metrics.count_after_commit(metrics.ISSUED, metrics.REVEALED)
    return key, secret


@transaction.atomic
def reveal(*, user_id: int | None, key_id: int, token: str | None = None) -> tuple[ApiKey, str]:
    """Generate the key's secret; return the key and the secret, once.

    A repeat with the same token within REPEATABLE_FOR returns the same. Raises KeyNotFound,
    AlreadyRevealed, AlreadyRotated, NotUsable.
    """
    key = _locked_with_grant(user_id, key_id)
    secret = _secret(key.user_id, "reveal", key.pk, token)
    if key.is_revealed:
        if key.key_hash == tokens.digest(secret) and key.was_just_shown:
            return key, secret
        raise errors.AlreadyRevealed
    if key.rotated_at is not None:
        raise errors.AlreadyRotated
    if not key.may_authenticate():
        raise errors.NotUsable
    for name, value in tokens.stored_columns(secret).items():
        setattr(key, name, value)
    key.revealed_at = timezone.now()
    key.save(update_fields=["key_hash", "key_prefix", "revealed_at", "updated_at"])
    notices.revealed(key)
    metrics.count_after_commit(metrics.REVEALED)
    return key, secret


@transaction.atomic
def rotate(
    *,
    user_id: int | None,
    key_id: int,
    grace: timedelta = DEFAULT_GRACE,
    token: str | None = None,
) -> tuple[ApiKey, str]:
    """Create a successor with the same name, grant and expiry; return it and its secret.

    The old key works until `grace` is over or until it expires, if that is sooner. A repeat with
    the same token within REPEATABLE_FOR returns the same. Raises KeyNotFound, AlreadyRotated,
    NotUsable, TooManyKeys, DifferentRequest.
    """
    old = _locked_with_grant(user_id, key_id)
    secret = _secret(old.user_id, "rotate", old.pk, token)
    successor = _shown_key(old.user_id, secret) if token else None
    if successor is not None and old.rotated_at is not None:
        if old.expires_at != _end_of_grace(successor.expires_at, old.rotated_at, grace):
            raise errors.DifferentRequest
        if not successor.was_just_shown:
            raise errors.AlreadyRotated
        return successor, secret
    now = timezone.now()
    _check_rotatable(old, now)
    inherited = old.expires_at
    old.rotated_at = now
    old.expires_at = _end_of_grace(inherited, now, grace)
    old.save(update_fields=["rotated_at", "expires_at", "updated_at"])
    _invalidate(old.key_hash)
    successor = ApiKey.objects.create(
        user_id=old.user_id,
        grant=old.grant,
        name=old.name,
        expires_at=inherited,
        predecessor=old,
        revealed_at=now,
        **tokens.stored_columns(secret),
    )
    notices.rotated(old, successor)
    metrics.count_after_commit(metrics.ISSUED, metrics.REVEALED)
    return successor, secret


@transaction.atomic
def show_again(
    *, user_id: int | None, key_id: int, requests: Iterable[tuple[str, int | None, str]]
) -> tuple[ApiKey, str]:
    """The key and its secret, if one of these requests has shown it within REPEATABLE_FOR.

    A request is an action, its key and its token. Raises KeyNotFound, AlreadyRevealed.
    """
    key = _locked_with_grant(user_id, key_id)
    for action, of_key, token in requests:
        secret = _secret(key.user_id, action, of_key, token)
        if key.key_hash == tokens.digest(secret) and key.was_just_shown:
            return key, secret
    raise errors.AlreadyRevealed


@transaction.atomic
def rename(*, user_id: int | None, key_id: int, name: str) -> ApiKey:
    """Change the name of a user's key. Raises KeyNotFound."""
    key = _locked(user_id, key_id)
    key.name = name
    key.save(update_fields=["name", "updated_at"])
    _invalidate(key.key_hash)
    return key


def delete(*, user_id: int | None, key_id: int, requested_at: datetime) -> ApiKey:
    """Revoke a key at its owner's request. Raises KeyNotFound, RevealedConcurrently.

    A concurrent reveal wins, so that no owner is shown a key that is revoked already. Concurrent
    means: revealed after the first read here, or after the request arrived.
    """
    owned = ApiKey.objects.owned_by(user_id).filter(pk=key_id)
    revealed_at = owned.values_list("revealed_at", flat=True).first()
    with transaction.atomic():
        key = _locked(user_id, key_id)
        if key.revealed_at != revealed_at or _revealed_since(key.revealed_at, requested_at):
            raise errors.RevealedConcurrently
        _revoke(key, REVOKED_BY_OWNER)
        notices.revoked(key, by=notices.BY_OWNER)
    return key


@transaction.atomic
def revoke(key_id: int, *, reason: str) -> bool:
    """Revoke a key, for staff. False if it was revoked already."""
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.revoked_at is not None:
        return False
    _revoke(key, reason)
    notices.revoked(key, by=notices.BY_STAFF, reason=reason)
    return True


def erase(user_id: int, *, reason: str) -> None:
    """Revoke every key of a user for good, and remove what people wrote about their keys."""
    for key_id in ApiKey.objects.owned_by(user_id).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            key = ApiKey.objects.locked().get(pk=key_id)
            key.name = ERASED
            if key.revoked_at is None:
                key.revoked_at = timezone.now()
                notices.revoked(key, by=notices.BY_ERASURE)
            key.revoked_reason = reason
            key.save(update_fields=["name", "revoked_at", "revoked_reason", "updated_at"])
            _invalidate(key.key_hash)
    for grant in Grant.objects.owned_by(user_id):
        erase_reasons(grant_id=grant.pk, key_id=None)


def erase_reasons(*, grant_id: int | None, key_id: int | None) -> None:
    """Remove the reasons that staff gave the owner of a grant or a key."""
    now = timezone.now()
    grants = Grant.objects.filter(pk__in=[grant_id] if grant_id else [])
    grants.exclude(stopped_reason="").update(stopped_reason=ERASED, updated_at=now)
    keys = ApiKey.objects.filter(pk__in=[key_id] if key_id else [])
    keys.exclude(revoked_reason="").update(revoked_reason=ERASED, updated_at=now)
    owners = grants.values_list("user_id", flat=True).union(keys.values_list("user_id", flat=True))
    erasure.erase_reasons(owners)


@transaction.atomic
def suspend(key_id: int, *, reason: str = "") -> bool:
    """Suspend a key until `restore`, for staff. False if it was suspended or revoked already.

    Its owner is told the reason.
    """
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.suspended_at or key.revoked_at:
        return False
    now = timezone.now()
    _set_suspended(key, now)
    notices.suspended(key, now, reason)
    return True


@transaction.atomic
def restore(key_id: int, *, reason: str = "") -> bool:
    """Undo `suspend`; a revoked key stays revoked. False if it was not suspended.

    Its owner is told the reason.
    """
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.suspended_at is None:
        return False
    _set_suspended(key, None)
    notices.restored(key, timezone.now(), reason)
    return True


def _secret(user_id: int, action: str, key_id: int | None, token: str | None) -> str:
    """A random secret, or with a token the one that a repeat of the request computes again."""
    if token is None:
        return tokens.generate()
    return tokens.derive(
        secret_key=settings.SECRET_KEY, user_id=user_id, action=action, key_id=key_id, token=token
    )


def _shown_key(user_id: int, secret: str) -> ApiKey | None:
    """The user's key with this secret."""
    own = ApiKey.objects.owned_by(user_id).select_related("grant")
    return own.filter(key_hash=tokens.digest(secret)).first()


def _end_of_grace(expires_at: datetime | None, rotated_at: datetime, grace: timedelta) -> datetime:
    return min(expires_at or rotated_at + grace, rotated_at + grace)


def _set_stopped(grant: Grant, at: datetime | None, reason: str) -> None:
    grant.stopped_at, grant.stopped_reason = at, reason
    grant.save(update_fields=["stopped_at", "stopped_reason", "updated_at"])
    _invalidate_grant(grant.pk)


def _set_suspended(key: ApiKey, at: datetime | None) -> None:
    key.suspended_at = at
    key.save(update_fields=["suspended_at", "updated_at"])
    _invalidate(key.key_hash)


def _revoke(key: ApiKey, reason: str) -> None:
    key.revoked_at = timezone.now()
    key.revoked_reason = reason
    key.save(update_fields=["revoked_at", "revoked_reason", "updated_at"])
    metrics.count_after_commit(metrics.REVOKED)
    _invalidate(key.key_hash)


def _invalidate(digest: str) -> None:
    """Invalidate this process's cache after the commit; triggers notify the others."""
    transaction.on_commit(partial(CACHE.invalidate, digest))


def _invalidate_grant(grant_id: int) -> None:
    transaction.on_commit(partial(CACHE.invalidate_grant, grant_id))


def _check_rotatable(key: ApiKey, now: datetime) -> None:
    if key.rotated_at is not None:
        raise errors.AlreadyRotated
    if not key.may_authenticate(now):
        raise errors.NotUsable
    live = ApiKey.objects.owned_by(key.user_id).live(now)
    if live.filter(rotated_at__isnull=False).count() >= errors.MAX_ROTATED_KEYS:
        raise errors.TooManyRotated


def _revealed_since(revealed_at: datetime | None, requested_at: datetime) -> bool:
    """Whether the key was revealed after the request arrived."""
    return revealed_at is not None and requested_at < revealed_at < requested_at + MAX_REQUEST_AGE


def _newest_usable_grant(user_id: int) -> Grant:
    """The grant, locked. One statement, so that it never waits for two grants."""
    own = Grant.objects.owned_by(user_id)
    grant = own.usable().order_by("-pk").locked().first()
    if grant is not None:
        return grant
    raise errors.NoUsableGrant if own.not_revoked().exists() else errors.NotEntitled


def _locked(user_id: int | None, key_id: int) -> ApiKey:
    """The user's key, locked. Raises KeyNotFound."""
    own = ApiKey.objects.owned_by(user_id).not_revoked()
    key = own.select_related("grant").locked().filter(pk=key_id).first()
    if key is None:
        raise errors.KeyNotFound
    return key


def _locked_with_grant(user_id: int | None, key_id: int) -> ApiKey:
    """The user's key, locked after its grant. Raises KeyNotFound."""
    own = ApiKey.objects.owned_by(user_id).filter(pk=key_id)
    grant_id = own.values_list("grant_id", flat=True).first()
    if grant_id is None:
        raise errors.KeyNotFound
    grant = lock_grant(grant_id)
    key = _locked(user_id, key_id)
    key.grant = grant
    return key
