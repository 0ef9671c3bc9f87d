"""Tell owners that a key ends: 30, 7 and 1 days before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apikeys import notices
from apikeys.models import ApiKey

DAYS_BEFORE = (30, 7, 1)
# A worker that was down for so long still tells them.
_SLACK = timedelta(days=2)
_DAY = timedelta(days=1)


def remind() -> Iterator[str]:
    """Write to the outbox for each key that has come so near to its end, once."""
    for days in DAYS_BEFORE:
        for key_id in _keys_ending_in(timedelta(days=days)):
            with transaction.atomic():
                key = ApiKey.objects.get(pk=key_id)
                if key.expires_at is None:
                    continue
                left = math.ceil((key.expires_at - timezone.now()) / _DAY)
                told = notices.expiring(key, key.expires_at, before=days, days_left=max(left, 1))
            if told:
                yield "told"


def _keys_ending_in(left: timedelta) -> list[int]:
    """Keys that their owners use and did not replace. One that was made for so short is known."""
    now = timezone.now()
    ending = ApiKey.objects.not_revoked().filter(
        rotated_at=None,
        expires_at__gt=max(now, now + left - _SLACK),
        expires_at__lte=now + left,
        created_at__lt=F("expires_at") - left - _DAY,
        user__is_active=True,
    )
    return list(ending.order_by("pk").values_list("pk", flat=True))
