"""Service tokens: the credentials of another backend. Only a token's hash is stored.

A token is `svc_` and 64 hexadecimal digits, 256 bits from the operating system, so that a plain
SHA-256 is safe at rest and is found by a unique index.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import ServiceToken

SCHEME = "svc_"
PREFIX_LENGTH = 12

_TOKEN = re.compile(r"svc_[0-9a-f]{64}", re.ASCII)
# The access log has it unquoted.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class NameRefused(ValueError):
    """The name can't be used. The text says why."""


def issue(name: str) -> str:
    """Store a new token under this name and return it, the only time. Raises NameRefused."""
    if not _NAME.fullmatch(name):
        raise NameRefused("A name is up to 64 letters, digits, dots, hyphens and underscores.")
    token = SCHEME + secrets.token_hex(32)
    try:
        with transaction.atomic():
            ServiceToken.objects.create(
                name=name, token_hash=digest(token), prefix=token[:PREFIX_LENGTH]
            )
    except IntegrityError:
        raise NameRefused(f"There is a token named {name}: revoke it, or choose another.") from None
    return token


def find(token: str) -> ServiceToken | None:
    """The row of a token that is not revoked."""
    if not _TOKEN.fullmatch(token):
        return None
    return ServiceToken.objects.filter(token_hash=digest(token), revoked_at=None).first()


def revoke(token_id: int) -> bool:
    """Refuse the token from now on, for good. False if it was revoked already."""
    current = ServiceToken.objects.filter(pk=token_id, revoked_at=None)
    return current.update(revoked_at=timezone.now()) > 0


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
