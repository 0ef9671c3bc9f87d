"""Template tag of the owner's page of keys: messages from support."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.utils import timezone

from apikeys.models import Grant
from support.actions.grants import ResumeGrant
from support.actions.keys import ResendReveal, RestoreKey, RevokeKey, SuspendKey
from support.models import SupportAction

register = template.Library()

SHOWN_FOR = timedelta(days=90)
# That something works again is old news soon.
RESTORED_SHOWN_FOR = timedelta(days=14)
_SHOWN = (RevokeKey, SuspendKey, RestoreKey, ResumeGrant, ResendReveal)


@register.inclusion_tag("includes/support_notes.html")
def support_notes(user: Any) -> dict[str, Any]:
    """What support did to the user's keys, with its reasons, and keys to be revealed."""
    recent = SupportAction.objects.done().filter(
        customer=user,
        kind__in=[each.kind for each in _SHOWN],
        created_at__gt=timezone.now() - SHOWN_FOR,
    )
    actions = list(recent.select_related("api_key__grant", "grant").order_by("-id")[:20])
    newest = {  # of each kind, about each key and grant
        (action.kind, action.api_key_id, action.grant_id): action for action in reversed(actions)
    }.values()
    return {
        "ended": [action for action in actions if action.kind == RevokeKey.kind],
        "suspended": [action for action in newest if _is_suspended(action)],
        "restored": [action for action in newest if _is_restored(action)],
        "waiting": [action for action in newest if _is_waiting(action)],
        "stopped": Grant.objects.owned_by(user.pk).filter(stopped_at__isnull=False).order_by("pk"),
        "named": [action.api_key for action in actions if action.api_key],
    }


def _is_suspended(action: SupportAction) -> bool:
    key = action.api_key
    if key is None or action.kind != SuspendKey.kind:
        return False
    return key.suspended_at is not None and key.revoked_at is None


def _is_restored(action: SupportAction) -> bool:
    if action.created_at < timezone.now() - RESTORED_SHOWN_FOR:
        return False
    if action.kind == RestoreKey.kind and action.api_key is not None:
        return action.api_key.may_authenticate()
    if action.kind == ResumeGrant.kind and action.grant is not None:
        return action.grant.stopped_at is None and action.grant.revoked_at is None
    return False


def _is_waiting(action: SupportAction) -> bool:
    key = action.api_key
    if key is None or action.kind != ResendReveal.kind:
        return False
    return not key.is_revealed and key.may_authenticate()
