"""The only writers of API keys.

Each function that changes a key locks its row, so two of them at once have one winner. Nothing
here stores a usable key; `create`, `reveal` and `rotate` return one, once, to their caller.

What a payment did to its keys (`hold`), its news take back. A person's stop takes a key over: the
hold is gone, and nothing but a person lifts that stop.

Keys that hang on one payment are a family. Whatever adds to a family or ends all of it locks the
family's first key before any other, so that no key is made while its family is being ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from apikeys import tokens
from apikeys.cache import CACHE
from apikeys.models import ApiKey, ApiKeyQuerySet, Hold
from apikeys.usage import note_use

MOST_LIVE = 20
# Rotation must work for somebody who has all their keys; what it leaves behind, keys in their
# grace, is bounded by itself: docs/decisions/0010.
MOST_ROTATED = MOST_LIVE
LONGEST_GRACE = timedelta(days=7)
DEFAULT_GRACE = timedelta(days=1)
# From a request's arrival to the row. Servers whose clocks differ by more must not keep an owner
# from deleting a key.
LONGEST_WAY = timedelta(seconds=10)
REVOKED_BY_OWNER = "Deleted by its owner."

__all__ = ["note_use"]  # written in a module of its own, used by the name it had here


class Refusal(Exception):
    """Why a service did nothing. `code` and `detail` are for the user."""

    code = "refused"
    detail = ""


class KeyNotFound(Refusal):
    """No such key of this user, or it is revoked."""

    code = "not_found"
    detail = "You have no such key."


class AlreadyRevealed(Refusal):
    code = "already_revealed"
    detail = "This key was shown before. It cannot be shown again."


class RevealedMeanwhile(Refusal):
    """Somebody was shown the key between the wish to delete it and the deed."""

    code = "revealed_meanwhile"
    detail = "This key was revealed at the same moment. Delete it again if it is to go."


class AlreadyRotated(Refusal):
    code = "already_rotated"
    detail = "This key has a successor already. Rotate that one."


class NotUsable(Refusal):
    """The key is suspended or expired: it gets no successor; a suspended one makes no keys."""

    code = "key_not_usable"
    detail = "This key is suspended or has expired."


class TooManyKeys(Refusal):
    code = "too_many_keys"
    detail = f"You have {MOST_LIVE} live keys, as many as anybody may have. Delete one first."


class TooManyRotated(TooManyKeys):
    detail = f"{MOST_ROTATED} keys of yours have a successor and still work. Delete one first."


class NotEntitled(Refusal):
    """No payment of the user's stands that a new key could hang on."""

    code = "payment_required"
    detail = "A new key needs a completed payment that was neither returned nor disputed."


def issue(*, user_id: int, name: str, tier: str = "") -> ApiKey:
    """Create a key that nobody has seen: its secret is dropped here, `reveal` mints the real one.

    A replayed payment can therefore neither mint nor leak a usable key.
    """
    return ApiKey.objects.create(user_id=user_id, name=name, tier=tier, **_minted()[1])


# `issue` as a part of a statement that does more, the rest of which says from what rows. Its
# parameters are `issue_parameters`.
ISSUE = """
    INSERT INTO api_keys (user_id, name, tier, key_hash, key_prefix, updated_at)
    SELECT %(user_id)s, %(key_name)s, %(tier)s, %(key_hash)s, %(key_prefix)s, clock_timestamp()
"""


def issue_parameters(*, user_id: int, name: str, tier: str) -> dict[str, Any]:
    return {"user_id": user_id, "key_name": name, "tier": tier, **_minted()[1]}


@transaction.atomic
def create(
    *, user_id: int, name: str, expires_at: datetime | None, grant: ApiKey
) -> tuple[ApiKey, str]:
    """Make another key under the payment that issued `grant`, and return it with its secret.

    Raises TooManyKeys, and NotUsable while the payment is disputed. The user's row is locked
    first, so of two calls at once at the limit, one is refused.
    """
    get_user_model()._default_manager.select_for_update(no_key=True).get(pk=user_id)
    root = ApiKey.objects.locked().get(pk=grant.root_id)
    if root.suspended_at is not None:
        raise NotUsable
    now = timezone.now()
    live = ApiKey.objects.owned_by(user_id).live(now)
    if live.filter(rotated_at__isnull=True).count() >= MOST_LIVE:
        raise TooManyKeys
    secret, facts = _minted()
    key = ApiKey.objects.create(
        user_id=user_id,
        name=name,
        expires_at=expires_at,
        tier=root.tier,
        grant=root,
        revealed_at=now,
        **facts,
    )
    return key, secret


@transaction.atomic
def reveal(*, user_id: int | None, key_id: int) -> tuple[ApiKey, str]:
    """Mint the key's secret and return it, the only time.

    Raises KeyNotFound, AlreadyRevealed, AlreadyRotated.
    """
    key = _locked(user_id, key_id)
    if key.is_revealed:
        raise AlreadyRevealed
    if key.rotated_at is not None:
        raise AlreadyRotated
    secret, facts = _minted()
    key.key_hash = facts["key_hash"]
    key.key_prefix = facts["key_prefix"]
    key.revealed_at = timezone.now()
    key.save(update_fields=["key_hash", "key_prefix", "revealed_at", "updated_at"])
    return key, secret


@transaction.atomic
def rotate(
    *, user_id: int | None, key_id: int, grace: timedelta = DEFAULT_GRACE
) -> tuple[ApiKey, str]:
    """Give a key a successor of the same name, tier and expiry; return that with its secret.

    The old key works on for `grace`, or until its own end where that is sooner. Raises
    KeyNotFound, AlreadyRotated, NotUsable, TooManyKeys.
    """
    _lock_family(user_id, key_id)
    old = _locked(user_id, key_id)
    now = timezone.now()
    _check_rotatable(old, now)
    inherited = old.expires_at
    old.rotated_at = now
    old.expires_at = min(inherited or now + grace, now + grace)
    old.save(update_fields=["rotated_at", "expires_at", "updated_at"])
    _forget(old.key_hash)
    secret, facts = _minted()
    successor = ApiKey.objects.create(
        user_id=old.user_id,
        name=old.name,
        tier=old.tier,
        expires_at=inherited,
        grant_id=old.root_id,
        predecessor=old,
        revealed_at=now,
        **facts,
    )
    return successor, secret


@transaction.atomic
def rename(*, user_id: int | None, key_id: int, name: str) -> ApiKey:
    """Call a user's key something else. Raises KeyNotFound."""
    key = _locked(user_id, key_id)
    key.name = name
    key.save(update_fields=["name", "updated_at"])
    _forget(key.key_hash)
    return key


@transaction.atomic
def revoke(*, user_id: int | None, key_id: int, reason: str) -> ApiKey:
    """End a key for good, whatever happens to it besides; its row stays.

    Raises KeyNotFound, also if it was revoked before.
    """
    key = _locked(user_id, key_id)
    key.hold = Hold.NONE
    _end(key, reason)
    return key


def delete(*, user_id: int | None, key_id: int, asked_at: datetime) -> ApiKey:
    """End a key because its owner has asked for it. Raises KeyNotFound, RevealedMeanwhile.

    Of a reveal and a delete at once one wins: nobody is shown a key that is gone when they use it.
    At once is what the row does not say yet when it is first read, and what it says of a time
    after the request had come.
    """
    owned = ApiKey.objects.owned_by(user_id).filter(pk=key_id)
    seen = owned.values_list("revealed_at", flat=True).first()
    with transaction.atomic():
        key = _locked(user_id, key_id)
        if key.revealed_at != seen or _is_after(key.revealed_at, asked_at):
            raise RevealedMeanwhile
        _end(key, REVOKED_BY_OWNER)
    return key


@transaction.atomic
def revoke_for_good(key_id: int, *, reason: str) -> bool:
    """End a key also where its payment has ended it, so that it stays so if the money comes back.

    False if it had ended for good before.
    """
    key = ApiKey.objects.locked().get(pk=key_id)
    if key.revoked_at is not None and key.hold != Hold.REVOKED:
        return False
    key.hold = Hold.NONE
    _end(key, reason)
    return True


@transaction.atomic
def suspend(key_id: int) -> bool:
    """Stop one key until it is restored, also one that its payment has suspended.

    False if somebody stopped it before, or it is revoked.
    """
    keys = ApiKey.objects.filter(pk=key_id).not_revoked()
    held = list(keys.filter(hold=Hold.SUSPENDED).locked())
    for key in held:
        key.hold = Hold.NONE
        key.save(update_fields=["hold", "updated_at"])
    return _suspend(keys.locked()) or bool(held)


@transaction.atomic
def restore(key_id: int) -> bool:
    """Lift a `suspend`; a revoked key stays revoked. False if there was none.

    What a dispute has suspended is not lifted here: that is `restore_family`.
    """
    stopped = ApiKey.objects.filter(pk=key_id, suspended_at__isnull=False)
    stopped = stopped.exclude(hold=Hold.SUSPENDED)
    return bool(stopped.update(suspended_at=None, updated_at=timezone.now()))


@transaction.atomic
def suspend_family(key_id: int) -> bool:
    """Stop the key and its family: their payment is disputed. False if nothing was left to stop."""
    return _suspend(_locked_family(key_id).not_revoked(), hold=Hold.SUSPENDED)


@transaction.atomic
def restore_family(key_id: int) -> bool:
    """Take back a `suspend_family`, and nothing that others did. False if there was none."""
    held = _locked_family(key_id).filter(hold=Hold.SUSPENDED)
    return bool(held.update(suspended_at=None, hold=Hold.NONE, updated_at=timezone.now()))


@transaction.atomic
def revoke_family(key_id: int, *, reason: str) -> bool:
    """End the key and its family: their payment went back. False if all had ended before."""
    living = list(_locked_family(key_id).not_revoked())
    for key in living:
        key.hold = Hold.REVOKED
        _end(key, reason)
    return bool(living)


@transaction.atomic
def reinstate_family(key_id: int) -> bool:
    """Take back a `revoke_family`: the money did not go after all. False if there was none.

    Every other revocation is one way.
    """
    held = _locked_family(key_id).filter(hold=Hold.REVOKED)
    facts = {"revoked_at": None, "revoked_reason": "", "hold": Hold.NONE}
    return bool(held.update(**facts, updated_at=timezone.now()))


def _suspend(keys: ApiKeyQuerySet, *, hold: Hold = Hold.NONE) -> bool:
    working = list(keys.filter(suspended_at__isnull=True))
    for key in working:
        key.suspended_at = timezone.now()
        key.hold = hold
        key.save(update_fields=["suspended_at", "hold", "updated_at"])
        _forget(key.key_hash)
    return bool(working)


def _forget(digest: str) -> None:
    """Once it is committed, this very process knows it at once; the others hear of it."""
    transaction.on_commit(partial(CACHE.forget, digest))


def _minted() -> tuple[str, dict[str, str]]:
    """A new secret, and what is stored of it."""
    secret = tokens.generate()
    return secret, {"key_hash": tokens.digest(secret), "key_prefix": tokens.prefix(secret)}


def _check_rotatable(key: ApiKey, now: datetime) -> None:
    if key.rotated_at is not None:
        raise AlreadyRotated
    if not key.may_authenticate(now):
        raise NotUsable
    live = ApiKey.objects.owned_by(key.user_id).live(now)
    if live.filter(rotated_at__isnull=False).count() >= MOST_ROTATED:
        raise TooManyRotated


def _end(key: ApiKey, reason: str) -> None:
    key.revoked_at = timezone.now()
    key.revoked_reason = reason
    key.save(update_fields=["revoked_at", "revoked_reason", "hold", "updated_at"])
    _forget(key.key_hash)


def _is_after(revealed_at: datetime | None, asked_at: datetime) -> bool:
    """Whether the key was revealed while the request was on its way."""
    return revealed_at is not None and asked_at < revealed_at < asked_at + LONGEST_WAY


def _locked(user_id: int | None, key_id: int) -> ApiKey:
    """The user's key, locked. The lock order ends here: nothing but a key is locked after it."""
    try:
        return ApiKey.objects.owned_by(user_id).not_revoked().locked().get(pk=key_id)
    except ApiKey.DoesNotExist:
        raise KeyNotFound from None


def _lock_family(user_id: int | None, key_id: int) -> None:
    """Lock the first key of the family that the user's key is of. Raises KeyNotFound."""
    key = ApiKey.objects.owned_by(user_id).filter(pk=key_id).first()
    if key is None:
        raise KeyNotFound
    ApiKey.objects.locked().get(pk=key.root_id)


def _locked_family(key_id: int) -> ApiKeyQuerySet:
    """Every key of the family, for a statement after this one: the first is locked here.

    Two statements, because a key that was committed while the first waited is seen only by the
    second.
    """
    root = ApiKey.objects.locked().get(pk=ApiKey.objects.get(pk=key_id).root_id)
    family = ApiKey.objects.family(root.pk)
    list(family.locked().values_list("pk"))
    return family
