"""Staff roles: three groups and their permissions, created and updated by `create_roles`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

from support.actions import registry
from support.actions.base import StaffAction
from support.models import SupportAction

ROLES = ("auditor", "support", "finance")

# What every role may read.
READ_PERMISSIONS = (
    "accounts.view_user",
    "conversations.view_conversation",
    "apikeys.view_apikey",
    "apikeys.view_grant",
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
    allowed = {each: _permission(each) for each in registry.STAFF_ACTIONS}
    groups = {}
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        own = [permission for each, permission in allowed.items() if role in each.roles]
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


def _permission(staff_action: type[StaffAction[Any]]) -> Permission:
    permission, _ = Permission.objects.update_or_create(
        content_type=ContentType.objects.get_for_model(SupportAction),
        codename=staff_action.kind,
        defaults={"name": staff_action.permission_label},
    )
    return permission
