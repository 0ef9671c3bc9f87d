"""What support has to say to the owner of keys, on the owner's own page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.utils import timezone

from apikeys.models import Grant
from support.models import Kind, SupportAction

register = template.Library()

SHOWN_FOR = timedelta(days=90)


@register.inclusion_tag("support_notes.html")
def support_notes(user: Any) -> dict[str, Any]:
    """What support stopped or revoked, with the reasons, and keys that wait to be revealed."""
    told = SupportAction.objects.done().filter(
        customer=user,
        kind__in=(Kind.REVOKE_KEY, Kind.RESEND_REVEAL),
        created_at__gt=timezone.now() - SHOWN_FOR,
    )
    actions = list(told.select_related("api_key__grant").order_by("-id")[:20])
    waiting = {
        action.api_key for action in actions if action.kind == Kind.RESEND_REVEAL and _waits(action)
    }
    ended = [action for action in actions if action.kind == Kind.REVOKE_KEY]
    return {
        "ended": ended,
        "waiting": sorted(waiting, key=lambda key: key.pk if key else 0),
        "stopped": Grant.objects.owned_by(user.pk).filter(stopped_at__isnull=False).order_by("pk"),
    }


def _waits(action: SupportAction) -> bool:
    key = action.api_key
    return key is not None and not key.is_revealed and key.may_authenticate()
