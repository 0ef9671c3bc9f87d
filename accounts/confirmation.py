"""Addresses that their owner has to confirm.

An account made by sign-up has a row of django-allauth's `EmailAddress`, and can't be used until
the link in its mail was followed. Accounts that staff, another backend or SQL made have none.
"""

from __future__ import annotations

from allauth.account.models import EmailAddress

from accounts.models import User


def is_pending(user: User) -> bool:
    """Whether the account's own address was never confirmed."""
    own = EmailAddress.objects.filter(user=user, email__iexact=user.email)
    return bool(own.filter(verified=False).exists())


def confirm(user: User) -> None:
    """The user has received a mail at the account's own address."""
    own = EmailAddress.objects.filter(user=user, email__iexact=user.email)
    own.update(verified=True, primary=True)
