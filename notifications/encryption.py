"""Encrypt under SECRET_KEY what must be read again; the keys that it replaced decrypt too."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def encrypt(purpose: str, text: str) -> str:
    return _cipher(purpose).encrypt(text.encode()).decode()


def decrypt(purpose: str, stored: str) -> str:
    return _cipher(purpose).decrypt(stored.encode()).decode()


def reencrypted(purpose: str, stored: str) -> str | None:
    """The same under SECRET_KEY; None if it is under that already."""
    try:
        Fernet(_key(purpose, settings.SECRET_KEY)).decrypt(stored.encode())
    except InvalidToken:
        return _cipher(purpose).rotate(stored.encode()).decode()
    return None


def _cipher(purpose: str) -> MultiFernet:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_key(purpose, secret)) for secret in secrets])


def _key(purpose: str, secret: str) -> bytes:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=f"payflow {purpose}".encode())
    return base64.urlsafe_b64encode(derived.derive(secret.encode()))
