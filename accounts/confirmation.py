"""Addresses that their owner has to confirm.

An account made by sign-up has a row of django-allauth's `EmailAddress`, and can't be used until
the link in its mail was followed. Accounts that staff, another backend or SQL made have none.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from allauth.account import app_settings
from allauth.account.models import EmailAddress
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts.models import User
from notifications.models import Notification

# Longer than a link in a mail works.
KEEP_UNCONFIRMED = timedelta(days=7)


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


def delete_abandoned(*, older_than: timedelta = KEEP_UNCONFIRMED) -> int:
    """Delete accounts that nobody confirmed and that were sent nothing for so long.

    Returns how many. Whatever refers to an account keeps it: somebody works with it.
    """
    before = timezone.now() - older_than
    lately = Notification.objects.filter(user=OuterRef("user"), created_at__gte=before)
    confirmed = EmailAddress.objects.filter(user=OuterRef("user"), verified=True)
    unconfirmed = EmailAddress.objects.filter(
        ~Exists(lately),
        ~Exists(confirmed),
        verified=False,
        email__iexact=F("user__email"),
        user__date_joined__lt=before,
        user__last_login=None,
        user__external_id=None,
        user__is_active=True,
        user__is_staff=False,
    )
    user_ids = unconfirmed.values_list("user_id", flat=True).distinct().order_by("user_id")
    return sum(_deleted(user_id) for user_id in list(user_ids))


def _deleted(user_id: int) -> bool:
    """Delete the account unless it was confirmed meanwhile, or another row refers to it."""
    with suppress(IntegrityError), transaction.atomic():
        own = EmailAddress.objects.filter(user=user_id).select_for_update()
        if not any(address.verified for address in own):
            User.objects.get(pk=user_id).delete()
            return True
    return False
