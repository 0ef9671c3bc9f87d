"""JSON Web Tokens: their claims, and how they are issued and verified.

An access token is HS256 over `JWT_SECRET` (or, during a rotation, a former one) with `sub` (the
user's id, a string; or the external id, by JWT_SUBJECT) and `exp`. Nothing else is required but
`aud` where JWT_AUDIENCE is set, so any backend that shares the secret can issue one. Tokens that we
issue also have a fingerprint of the password, and become invalid when it changes.

A refresh token has a claim for its use and is not accepted as a bearer token. It is used once: a
use replaces it, and a second use ends the sign-in, since one of the two users is a thief.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from datetime import timedelta
from typing import Any

import jwt
from django.conf import settings
from django.utils import timezone

from accounts import provisioning
from accounts.models import RefreshToken, User

ACCESS_LIFETIME = timedelta(hours=1)
REFRESH_LIFETIME = timedelta(days=14)

_ALGORITHM = "HS256"
# How far the clock of another issuer may be ahead: for `nbf` only.
CLOCK_SKEW = 30
# The end of the year 9999. A later `exp` is in milliseconds, and would never expire.
MAX_EXP = 253_402_300_799

_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_REFRESH = "refresh"
_PASSWORD = "payflow_pwd"  # noqa: S105 - the name of a claim that no other issuer uses


class InvalidToken(Exception):
    """The token is malformed, expired or for another use, or its user is missing or inactive."""


class NoSubject(Exception):
    """Tokens name users by their external id, and the user has none."""

    detail = "The account has no external id, by which tokens name their users here."


def issue_access(user: User, lifetime: timedelta = ACCESS_LIFETIME) -> str:
    """Raises NoSubject."""
    return _encode(_claims(user), lifetime)


def issue_refresh(user: User) -> str:
    """The first refresh token of a sign-in. Raises NoSubject."""
    _subject(user)
    now = timezone.now()
    user.refresh_tokens.filter(expires_at__lte=now).delete()
    row = user.refresh_tokens.create(expires_at=now + REFRESH_LIFETIME)
    return _encode_refresh(user, row.pk, row.current)


def user_of_access(token: str) -> User:
    """The active user of an access token. Raises InvalidToken."""
    claims = _decode(token)
    if claims.get("use") == _REFRESH:
        raise InvalidToken("A refresh token cannot be used as a bearer token.")
    user = _active_user(claims)
    if _PASSWORD in claims and claims[_PASSWORD] not in _password_fingerprints(user):
        raise InvalidToken("The password was changed after the token was issued.")
    return user


def use_refresh(token: str) -> tuple[User, str]:
    """The active user of a refresh token, and its successor. Raises InvalidToken."""
    claims = _decode(token)
    user = _active_user(claims)
    if claims.get("use") != _REFRESH or claims.get(_PASSWORD) not in _password_fingerprints(user):
        raise InvalidToken("The refresh token is no longer valid.")
    sign_in, used = _uuid(claims.get("sid")), _uuid(claims.get("jti"))
    own = RefreshToken.objects.filter(pk=sign_in, user=user)
    successor = uuid.uuid4()
    replaced = own.filter(current=used).update(
        current=successor, expires_at=timezone.now() + REFRESH_LIFETIME
    )
    if not replaced:
        own.delete()
        raise InvalidToken("The refresh token was used before: sign in again.")
    return user, _encode_refresh(user, sign_in, successor)


def _encode_refresh(user: User, sign_in: uuid.UUID, token_id: uuid.UUID) -> str:
    own = {"use": _REFRESH, "sid": str(sign_in), "jti": str(token_id)}
    return _encode({**_claims(user), **own}, REFRESH_LIFETIME)


def _claims(user: User) -> dict[str, Any]:
    return {"sub": _subject(user), _PASSWORD: _password_fingerprints(user)[0]}


def _subject(user: User) -> str:
    """Raises NoSubject."""
    if settings.JWT_SUBJECT == "id":
        return str(user.pk)
    if user.external_id is None:
        raise NoSubject
    return user.external_id


def _encode(claims: dict[str, Any], lifetime: timedelta) -> str:
    now = int(time.time())
    claims = {**claims, "iat": now, "exp": now + int(lifetime.total_seconds())}
    if settings.JWT_AUDIENCE:
        claims["aud"] = settings.JWT_AUDIENCE
    return jwt.encode(claims, settings.JWT_SECRET, algorithm=_ALGORITHM)


def _decode(token: str) -> dict[str, Any]:
    """The claims of a token signed with JWT_SECRET or one of JWT_SECRET_FALLBACKS."""
    for secret in (settings.JWT_SECRET, *settings.JWT_SECRET_FALLBACKS):
        try:
            return _decode_with(secret, token)
        except jwt.InvalidSignatureError:
            continue
        except (
            *(jwt.InvalidTokenError, UnicodeError, ValueError, TypeError),
            *(OverflowError, RecursionError),
        ):
            break
    raise InvalidToken("The token is invalid or has expired.")


def _decode_with(secret: str, token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        secret,
        algorithms=[_ALGORITHM],  # pinned: never the algorithm of the token's header
        audience=settings.JWT_AUDIENCE or None,  # then required
        # Other claims are the issuer's own; an `iat` in the future is a clock that is ahead.
        options={
            "require": ["sub", "exp"],
            "verify_aud": bool(settings.JWT_AUDIENCE),
            "verify_iat": False,
            "verify_jti": False,
            "verify_nbf": False,
        },
    )
    if int(claims["exp"]) > MAX_EXP:
        raise jwt.InvalidTokenError
    if int(claims.get("nbf", 0)) > time.time() + CLOCK_SKEW:
        raise jwt.ImmatureSignatureError
    return claims


def _active_user(claims: dict[str, Any]) -> User:
    subject = str(claims["sub"])
    user = None
    if settings.JWT_SUBJECT == "external_id":
        user = provisioning.find(subject)  # never one of the staff, who have no external id
    elif _USER_ID.fullmatch(subject):
        user = User.objects.filter(pk=int(subject)).first()
    if user is not None and user.is_active:
        return user
    raise InvalidToken("The token's user does not exist or is not active.")


def _password_fingerprints(user: User) -> list[str]:
    """The fingerprint under SECRET_KEY, then those under the keys that it replaced."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return [hashlib.sha256(each.encode()).hexdigest()[:16] for each in hashes]


def _uuid(claim: object) -> uuid.UUID:
    try:
        return uuid.UUID(str(claim))
    except ValueError:
        raise InvalidToken("The refresh token is no longer valid.") from None
