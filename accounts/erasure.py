"""Close an account for good and remove what names its person."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone

from accounts.models import User

# A domain that never exists (RFC 2606).
_ADDRESS = "erased-{}@erased.invalid"


@transaction.atomic
def close(user: User) -> None:
    """End the account at once: its keys, sessions and tokens are refused from the commit on."""
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save(update_fields=["is_active", "is_staff", "is_superuser", "password"])
    user.refresh_tokens.all().delete()
    user.groups.clear()
    user.user_permissions.clear()


@transaction.atomic
def erase(user: User) -> None:
    """Remove the person of a closed account. The row stays: orders and grants refer to it."""
    user.sessions.all().delete()
    Authenticator.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).delete()
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)
    )
    entries.update(object_repr=f"user {user.pk}", change_message="")
    user.email = _ADDRESS.format(user.pk)
    user.external_id = None
    user.name = user.language = ""
    user.last_login = None
    user.erased_at = timezone.now()
    user.save(update_fields=["email", "external_id", "name", "language", "last_login", "erased_at"])
