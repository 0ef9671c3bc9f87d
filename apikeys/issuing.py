"""What the API and the pages ask for when a key is made: answered where keys meet payments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from apikeys.models import ApiKey


class Issuer(Protocol):
    """Makes keys under a payment of the user's. Both return the new key and its secret."""

    def create(
        self, *, user_id: int | None, name: str, expires_at: datetime | None
    ) -> tuple[ApiKey, str]:
        """Raises what `services.create` raises, and NotEntitled."""

    def rotate(self, *, user_id: int | None, key_id: int, grace: timedelta) -> tuple[ApiKey, str]:
        """Raises what `services.rotate` raises."""
