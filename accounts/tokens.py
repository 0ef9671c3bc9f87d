"""JSON Web Tokens: their claims, and how they are issued and verified.

An access token is HS256 over `JWT_SECRET` (or, during a rotation, a former one) with `sub` (the
user's id, a string) and `exp`. Nothing else is required, so any backend that shares the secret can
issue one. A refresh token has a claim for its use and a fingerprint of the password: it is not
accepted as a bearer token and becomes invalid when the password changes.
"""

from __future__ import annotations

import hashlib
import re
import time
from datetime import timedelta
from typing import Any

import jwt
from django.conf import settings

from accounts.models import User

ACCESS_LIFETIME = timedelta(hours=1)
REFRESH_LIFETIME = timedelta(days=14)

_ALGORITHM = "HS256"
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_REFRESH = "refresh"


class InvalidToken(Exception):
    """The token is malformed, expired or for another use, or its user is missing or inactive."""


def issue_access(user: User, lifetime: timedelta = ACCESS_LIFETIME) -> str:
    return _encode({"sub": str(user.pk)}, lifetime)


def issue_refresh(user: User) -> str:
    current, *_ = _fingerprints(user)
    return _encode({"sub": str(user.pk), "use": _REFRESH, "pwd": current}, REFRESH_LIFETIME)


def user_of_access(token: str) -> User:
    """The active user of an access token. Raises InvalidToken."""
    claims = _decode(token)
    if claims.get("use") == _REFRESH:
        raise InvalidToken("A refresh token cannot be used as a bearer token.")
    return _active_user(claims)


def user_of_refresh(token: str) -> User:
    """The active user of a refresh token. Raises InvalidToken."""
    claims = _decode(token)
    user = _active_user(claims)
    if claims.get("use") != _REFRESH or claims.get("pwd") not in _fingerprints(user):
        raise InvalidToken("The refresh token is no longer valid.")
    return user


def _encode(claims: dict[str, Any], lifetime: timedelta) -> str:
    now = int(time.time())
    claims = {**claims, "iat": now, "exp": now + int(lifetime.total_seconds())}
    return jwt.encode(claims, settings.JWT_SECRET, algorithm=_ALGORITHM)


def _decode(token: str) -> dict[str, Any]:
    """The claims of a token signed with JWT_SECRET or one of JWT_SECRET_FALLBACKS."""
    for secret in (settings.JWT_SECRET, *settings.JWT_SECRET_FALLBACKS):
        try:
            return _decode_with(secret, token)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, UnicodeError, ValueError, OverflowError, RecursionError):
            break
    raise InvalidToken("The token is invalid or has expired.")


def _decode_with(secret: str, token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        secret,
        algorithms=[_ALGORITHM],  # pinned: never the algorithm of the token's header
        # Other claims are the issuer's own; an `iat` in the future is a clock that is ahead.
        options={
            "require": ["sub", "exp"],
            "verify_aud": False,
            "verify_iat": False,
            "verify_jti": False,
        },
    )
    return claims


def _active_user(claims: dict[str, Any]) -> User:
    subject = str(claims["sub"])
    if _USER_ID.fullmatch(subject):
        user = User.objects.filter(pk=int(subject), is_active=True).first()
        if user is not None:
            return user
    raise InvalidToken("The token's user does not exist or is not active.")


def _fingerprints(user: User) -> list[str]:
    """Of the user's password: under SECRET_KEY, and under each of SECRET_KEY_FALLBACKS."""
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return [_fingerprint(password_hash) for password_hash in hashes]


def _fingerprint(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]
