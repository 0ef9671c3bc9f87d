"""System check of the database: refuse tables made by migrations before the first release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

# The migrations before the first release were squashed into one `0001_initial` per app. A database
# that has applied the former ones can't be migrated, and `migrate` would not notice: its
# `0001_initial` counts as applied.
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
                    "The database was made by a version before the first release.",
                    hint="It can't be migrated: name another database, or empty this one.",
                    id="payflow.E001",
                )
            )
    return errors
