"""Standard Webhooks (standardwebhooks.com): secrets, and the headers that sign a body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(message_id: str, body: str, *, at: int, signed_with: Iterable[str]) -> dict[str, str]:
    """The three headers; while a secret is being replaced, a signature for each."""
    signed = f"{message_id}.{at}.{body}".encode()
    signatures = (_signature(signed, secret) for secret in signed_with)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _signature(signed: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
