"""System checks of the database: whether this version's migrations can go on from what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

# The migrations of before the first release are one `0001_initial` for each app now. Whoever has
# applied the former ones has tables that no migration leads on from, and `migrate` would not say
# so: the new `0001_initial` counts as applied.
FORMER = (("apikeys", "0002_families_and_tiers"), ("support", "0001_trail"))


def former_migrations(
    app_configs: object, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    for alias in databases or ():
        applied = MigrationRecorder(connections[alias]).applied_migrations()
        if any(migration in applied for migration in FORMER):
            errors.append(
                Error(
                    "The database was made by a version of before the first release.",
                    hint="Nothing leads on from there: name another database, or empty this one.",
                    id="payflow.E001",
                )
            )
    return errors
