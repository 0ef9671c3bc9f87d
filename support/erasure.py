"""Remove a person from the texts of the audit log. Who did what, when and to which row stays."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from urllib.parse import unquote_plus

from django.db.models import Q

from apikeys import services as apikeys
from support import audit_log
from support.models import ERASED, SupportAction

# A shorter name is part of too many words.
MIN_NAME_LENGTH = 3


def erase_texts(user_id: int, names: Collection[str]) -> None:
    """Erase the texts of all actions on this user, and of the others that name the person."""
    long_enough = sorted(name for name in names if len(name.strip()) >= MIN_NAME_LENGTH)
    words = "|".join(map(re.escape, long_enough)) or r"(?!)"
    pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
    about = Q(customer_id=user_id) | Q(conversation__user_id=user_id) | Q(order__user_id=user_id)
    about |= Q(api_key__user_id=user_id) | Q(grant__user_id=user_id)
    own = set(SupportAction.objects.filter(about).values_list("pk", flat=True))
    for action in audit_log.in_pages(SupportAction.objects.exclude(reason=ERASED)):
        if action.pk in own or pattern.search(_texts(action)):
            audit_log.erase_texts(action.pk)
            apikeys.erase_reasons(grant_id=action.grant_id, key_id=action.api_key_id)


def _texts(action: SupportAction) -> str:
    changes = json.dumps(action.changes, ensure_ascii=False)
    # An export's reason is the query of its list.
    return f"{action.reason}\n{unquote_plus(action.reason)}\n{action.outcome}\n{changes}"
