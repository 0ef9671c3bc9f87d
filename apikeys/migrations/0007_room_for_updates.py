"""Room on every page for a key's next version: its use is noted once a minute.

On a full page the new version goes elsewhere, and every index of the table with it; where there is
room, no index is touched (PostgreSQL's "heap-only tuples"). Pages that exist are not rewritten.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.db import migrations

told: Any = import_module("apikeys.migrations.0003_tell_of_changes")

FORWARDS = "ALTER TABLE api_keys SET (fillfactor = 85)"
BACKWARDS = "ALTER TABLE api_keys RESET (fillfactor)"


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0006_times_within_reach")]

    operations = [told.PostgresSQL(FORWARDS, BACKWARDS)]
