"""Second factors by django-allauth: who has one, who used one, and their encrypted secrets."""

from __future__ import annotations

from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from notifications import encryption

_PURPOSE = "second factors"

# In the session, once the code of a new second factor was right.
_JUST_ADDED = "second_factor_added"


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # django-allauth has no types
    def get_totp_issuer(self) -> str:
        return str(settings.SITE_NAME)

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(_PURPOSE, text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(_PURPOSE, encrypted_text)


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
    changed = 0
    for authenticator in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN):
        name = "secret" if authenticator.type == Authenticator.Type.TOTP else "seed"
        stored = encryption.reencrypted(_PURPOSE, authenticator.data.get(name, ""))
        if stored is not None:
            authenticator.data[name] = stored
            authenticator.save(update_fields=["data"])
            changed += 1
    return changed
