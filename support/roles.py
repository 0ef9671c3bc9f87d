"""Staff roles: three groups and their permissions, created and updated by `create_roles`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from support.actions import registry
from support.actions.base import StaffAction
from support.models import SupportAction

ROLES = ("auditor", "support", "refunds", "finance")

# What every role may read.
READ_PERMISSIONS = (
    "accounts.view_user",
    "accounts.view_servicetoken",
    "conversations.view_conversation",
    "apikeys.view_apikey",
    "apikeys.view_grant",
    "notifications.view_notification",
    "notifications.view_endpoint",
    "billing.view_order",
    "billing.view_stripeevent",
    "billing.view_checkoutsettings",
    "support.view_supportaction",
)


def create_roles() -> dict[str, Group]:
    """Create the groups and give them exactly their permissions, whatever they had before.

    Raises LookupError when `migrate` has not run.
    """
    readable = _existing_permissions()
    allowed = [
        (permission, roles)
        for each in registry.STAFF_ACTIONS
        for permission, roles in _permissions(each)
    ]
    groups = {}
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        own = [permission for permission, roles in allowed if role in roles]
        group.permissions.set([*readable, *own])
        groups[role] = group
    return groups


def _existing_permissions() -> list[Permission]:
    wanted = Q()
    for name in READ_PERMISSIONS:
        app, codename = name.split(".")
        wanted |= Q(content_type__app_label=app, codename=codename)
    found = list(Permission.objects.filter(wanted))
    if len(found) != len(READ_PERMISSIONS):
        raise LookupError("Permissions are missing: run `manage.py migrate` first.")
    return found


def _permissions(
    staff_action: type[StaffAction[Any]],
) -> Iterator[tuple[Permission, Collection[str]]]:
    """The action's permission, the one up to its limit, and the roles that have them."""
    label = staff_action.permission_label
    yield _permission(staff_action.permission(), label), staff_action.roles
    if staff_action.limited_roles:
        limited = _permission(staff_action.limited_permission(), f"{label} up to the limit")
        yield limited, staff_action.limited_roles


def _permission(name: str, label: str) -> Permission:
    permission, _ = Permission.objects.update_or_create(
        content_type=ContentType.objects.get_for_model(SupportAction),
        codename=name.partition(".")[2],
        defaults={"name": label},
    )
    return permission
