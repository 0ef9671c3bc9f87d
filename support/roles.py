"""Who may do what at the desk: three groups, made and kept up to date by `create_roles`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from support.models import Kind

READ = (
    "accounts.view_user",
    "conversations.view_conversation",
    "apikeys.view_apikey",
    "apikeys.view_grant",
    "billing.view_order",
    "billing.view_stripeevent",
    "support.view_supportaction",
)


def _may(*kinds: Kind) -> tuple[str, ...]:
    return tuple(f"support.{kind.value}" for kind in kinds)


ROLES: Mapping[str, Sequence[str]] = {
    "auditor": READ,
    "support": (
        *READ,
        *_may(
            Kind.REVOKE_KEY,
            Kind.SUSPEND_KEY,
            Kind.RESTORE_KEY,
            Kind.STOP_GRANT,
            Kind.RESUME_GRANT,
            Kind.RESEND_REVEAL,
            Kind.REPLAY_EVENT,
            Kind.RECONCILE,
            Kind.MARK_HANDLED,
        ),
    ),
    "finance": (*READ, *_may(Kind.REFUND, Kind.RECONCILE, Kind.MARK_HANDLED)),
}


def create_roles() -> dict[str, Group]:
    """Make the groups and give them exactly these permissions, whatever they had before."""
    return {name: _create(name, permissions) for name, permissions in ROLES.items()}


def _create(name: str, permissions: Sequence[str]) -> Group:
    group, _ = Group.objects.get_or_create(name=name)
    wanted = Q()
    for permission in permissions:
        app, codename = permission.split(".")
        wanted |= Q(content_type__app_label=app, codename=codename)
    found = list(Permission.objects.filter(wanted))
    if len(found) != len(permissions):
        raise LookupError("Permissions are missing: run `manage.py migrate` first.")
    group.permissions.set(found)
    return group
