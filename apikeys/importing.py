"""Create the grants and keys that another system issued. Only their hashes are known here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apikeys.models import ApiKey, Grant


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """`grant` is the grant to use; None makes one."""

    user_id: int
    key_hash: str
    prefix: str
    name: str
    tier: str
    created_at: datetime
    grant: Grant | None = None


def create_grants(owners: Sequence[tuple[int, str, datetime]]) -> list[Grant]:
    """A grant for each user, tier and time."""
    return Grant.objects.bulk_create(
        [Grant(user_id=user_id, tier=tier, created_at=at) for user_id, tier, at in owners]
    )


def create_keys(keys: Sequence[ImportedKey]) -> None:
    """The keys, which their owners know already: they can't be revealed again."""
    alone = [key for key in keys if key.grant is None]
    made = iter(create_grants([(key.user_id, key.tier, key.created_at) for key in alone]))
    ApiKey.objects.bulk_create(
        [
            ApiKey(
                user_id=key.user_id,
                grant=key.grant or next(made),
                key_hash=key.key_hash,
                key_prefix=key.prefix,
                name=key.name,
                revealed_at=key.created_at,
                created_at=key.created_at,
            )
            for key in keys
        ]
    )
