"""Template tag of the owner's page of keys: messages from support."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.utils import timezone

from apikeys.models import Grant
from support.actions.keys import ResendReveal, RevokeKey
from support.models import SupportAction

register = template.Library()

SHOWN_FOR = timedelta(days=90)


@register.inclusion_tag("support/support_notes.html")
def support_notes(user: Any) -> dict[str, Any]:
    """Keys that support revoked and grants it stopped, with reasons, and keys to be revealed."""
    recent = SupportAction.objects.done().filter(
        customer=user,
        kind__in=(RevokeKey.kind, ResendReveal.kind),
        created_at__gt=timezone.now() - SHOWN_FOR,
    )
    actions = list(recent.select_related("api_key__grant").order_by("-id")[:20])
    waiting = {  # the newest request for each key
        action.api_key_id: action
        for action in reversed(actions)
        if action.kind == ResendReveal.kind and _is_waiting(action)
    }
    ended = [action for action in actions if action.kind == RevokeKey.kind]
    return {
        "ended": ended,
        "waiting": [waiting[key_id] for key_id in sorted(waiting, key=str)],
        "stopped": Grant.objects.owned_by(user.pk).filter(stopped_at__isnull=False).order_by("pk"),
    }


def _is_waiting(action: SupportAction) -> bool:
    key = action.api_key
    return key is not None and not key.is_revealed and key.may_authenticate()
