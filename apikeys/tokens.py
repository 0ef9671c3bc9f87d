"""The text of API keys: generate, recognise, hash, abbreviate. Pure functions.

A key is `sk_` and 64 hexadecimal digits, 256 bits from the operating system. It has as much
entropy as its SHA-256 digest, so a plain digest (no salt, no stretching) is safe at rest and lets
a lookup use a unique index.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets

SCHEME = "sk_"
PREFIX_LENGTH = 20

_KEY = re.compile(r"sk_[0-9a-f]{64}", re.ASCII)


def generate() -> str:
    """A random key. `services` uses `derive` instead when the request has a token."""
    return SCHEME + secrets.token_hex(32)


def derive(*, secret_key: str, user_id: int, action: str, key_id: int | None, token: str) -> str:
    """The key of one request, which a repeat of that request computes again.

    HMAC-SHA256 of what was asked for, under a key that is derived from `secret_key` for this use
    alone. Whoever knows the token, but not `secret_key`, learns nothing of the key.
    """
    derived = hmac.digest(secret_key.encode(), b"payflow: API keys of repeated requests", "sha256")
    message = json.dumps([user_id, action, key_id, token]).encode()
    return SCHEME + hmac.new(derived, message, hashlib.sha256).hexdigest()


def is_well_formed(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def digest(key: str) -> str:
    """SHA-256 of the key as 64 hexadecimal digits; stored and looked up."""
    return hashlib.sha256(key.encode()).hexdigest()


def prefix(key: str) -> str:
    """The first 20 characters: enough to tell keys apart, 188 bits short of one."""
    return key[:PREFIX_LENGTH]


def stored_columns(key: str) -> dict[str, str]:
    """The columns of `api_keys` that are computed from a key: its hash and its prefix."""
    return {"key_hash": digest(key), "key_prefix": prefix(key)}
