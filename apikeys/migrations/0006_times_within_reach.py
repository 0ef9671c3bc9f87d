"""No time in a key that Python cannot hold: 'infinity' made every check of that key fail.

What lay beyond was meant for "never": as an end in the future or a use it becomes NULL, as an end
in the past the beginning of 1970. On SQLite a time is text, and nothing is infinite.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.db import migrations

told: Any = import_module("apikeys.migrations.0003_tell_of_changes")

FORWARDS = """
UPDATE api_keys SET expires_at = NULL WHERE expires_at >= '10000-01-01 00:00:00+00';
UPDATE api_keys SET expires_at = 'epoch' WHERE expires_at < '0001-01-01 00:00:00+00';
UPDATE api_keys SET last_used_at = NULL
WHERE last_used_at >= '10000-01-01 00:00:00+00' OR last_used_at < '0001-01-01 00:00:00+00';

ALTER TABLE api_keys ADD CONSTRAINT api_keys_expires_at_within_reach CHECK (
    expires_at >= '0001-01-01 00:00:00+00' AND expires_at < '10000-01-01 00:00:00+00'
);
ALTER TABLE api_keys ADD CONSTRAINT api_keys_last_used_at_within_reach CHECK (
    last_used_at >= '0001-01-01 00:00:00+00' AND last_used_at < '10000-01-01 00:00:00+00'
);
"""

BACKWARDS = """
ALTER TABLE api_keys DROP CONSTRAINT api_keys_expires_at_within_reach;
ALTER TABLE api_keys DROP CONSTRAINT api_keys_last_used_at_within_reach;
"""


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0005_triggers_in_every_mode")]

    operations = [told.PostgresSQL(FORWARDS, BACKWARDS)]
