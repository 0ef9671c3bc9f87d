"""Second factors by django-allauth: who has one, who used one, and their encrypted secrets."""

from __future__ import annotations

import base64
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.http import HttpRequest

from accounts.models import User

# In the session, once the code of a new second factor was right.
_JUST_ADDED = "second_factor_added"


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # django-allauth has no types
    def get_totp_issuer(self) -> str:
        return "payflow"

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()


def has_second_factor(user: User) -> bool:
    return bool(is_mfa_enabled(user))


def used_second_factor(request: HttpRequest) -> bool:
    """Whether this session was opened with a second factor, or one was added in it."""
    records = get_authentication_records(request, request.user)
    used = any(record.get("method") == "mfa" for record in records)
    return used or request.session.get(_JUST_ADDED) == request.user.pk


def note_addition(request: HttpRequest, authenticator: Authenticator, **_: Any) -> None:
    """For the signal `authenticator_added`, which is sent after a right code."""
    if authenticator.type == Authenticator.Type.TOTP:
        request.session[_JUST_ADDED] = authenticator.user_id


def reencrypt() -> int:
    """Encrypt under SECRET_KEY what was encrypted under one that it replaced; return how many."""
    current = Fernet(_key(settings.SECRET_KEY))
    changed = 0
    for authenticator in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN):
        name = "secret" if authenticator.type == Authenticator.Type.TOTP else "seed"
        stored = authenticator.data.get(name, "").encode()
        try:
            current.decrypt(stored)
        except InvalidToken:
            authenticator.data[name] = _cipher().rotate(stored).decode()
            authenticator.save(update_fields=["data"])
            changed += 1
    return changed


def _cipher() -> MultiFernet:
    """Encrypts under SECRET_KEY, and decrypts under those that it replaced as well."""
    return MultiFernet(
        [Fernet(_key(secret)) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    )


def _key(secret: str) -> bytes:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"payflow second factors")
    return base64.urlsafe_b64encode(derived.derive(secret.encode()))
