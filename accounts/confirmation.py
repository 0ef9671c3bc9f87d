"""Addresses that their owner has to confirm.

An account made by sign-up has a row of django-allauth's `EmailAddress`, and can't be used until
the link in its mail was followed. Accounts that staff, another backend or SQL made have none.
"""

from __future__ import annotations

from allauth.account import app_settings
from allauth.account.models import EmailAddress
from django.core import signing

from accounts.models import User


def is_pending(user: User) -> bool:
    """Whether the account's own address was never confirmed."""
    own = EmailAddress.objects.filter(user=user, email__iexact=user.email)
    return bool(own.filter(verified=False).exists())


def confirm(user: User) -> None:
    """The user has received a mail at the account's own address."""
    own = EmailAddress.objects.filter(user=user, email__iexact=user.email)
    own.update(verified=True, primary=True)


def is_taken(address: EmailAddress) -> bool:
    """Whether another account has the address by now."""
    others = User.objects.filter(email__iexact=address.email).exclude(pk=address.user_id)
    return others.exists() or not address.can_set_verified()


def address_of(key: str) -> EmailAddress | None:
    """The address that a link's key was made for, however old it is; None: it was given up.

    Raises signing.BadSignature: this is no key of ours.
    """
    pk = signing.loads(key, salt=app_settings.SALT)
    return EmailAddress.objects.filter(pk=pk).select_related("user").first()
