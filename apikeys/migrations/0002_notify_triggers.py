"""Notify every listener on PostgreSQL when a cached key may have changed, whoever changed the row.

A notification is sent when its transaction commits, and none when it rolls back. The triggers are
ENABLE ALWAYS, so that a session with `session_replication_role = replica` (replication, a restore)
notifies too. Rows are compared as wholes and read by jsonb: a column that a trigger names could
not change its type. An update of nothing but `last_used_at` or `last_login` is not notified. A row
that is inserted was in no cache.

The fill factor leaves room on every page of `api_keys` for a row's next version, because
`last_used_at` is written once a minute: no index is touched then (heap-only tuples).

On SQLite nothing is cached, so there is nothing to do.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import migrations

FORWARDS = """
CREATE FUNCTION payflow_notify_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        OLD.last_used_at := NULL;
        NEW.last_used_at := NULL;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM pg_notify('payflow_api_keys', to_jsonb(OLD) ->> 'key_hash');
    RETURN NULL;
END $$;

CREATE FUNCTION payflow_notify_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify('payflow_api_keys', 'grant:' || (to_jsonb(OLD) ->> 'id'));
    RETURN NULL;
END $$;

CREATE FUNCTION payflow_notify_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        OLD.last_login := NULL;
        NEW.last_login := NULL;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM pg_notify('payflow_api_keys', 'user:' || (to_jsonb(OLD) ->> 'id'));
    RETURN NULL;
END $$;

CREATE FUNCTION payflow_notify_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('payflow_api_keys', 'all');
    RETURN NULL;
END $$;
"""

BACKWARDS = """
DROP FUNCTION payflow_notify_key CASCADE;
DROP FUNCTION payflow_notify_grant CASCADE;
DROP FUNCTION payflow_notify_user CASCADE;
DROP FUNCTION payflow_notify_all CASCADE;
ALTER TABLE api_keys RESET (fillfactor);
"""

for table, function in (("api_keys", "key"), ("grants", "grant"), ("users", "user")):
    FORWARDS += f"""
CREATE TRIGGER payflow_{table}_changed AFTER UPDATE OR DELETE ON {table} FOR EACH ROW
EXECUTE FUNCTION payflow_notify_{function}();
CREATE TRIGGER payflow_{table}_truncated AFTER TRUNCATE ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION payflow_notify_all();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER payflow_{table}_changed;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER payflow_{table}_truncated;
"""

FORWARDS += "ALTER TABLE api_keys SET (fillfactor = 85);"


class PostgresSQL(migrations.RunSQL):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, *states)


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [PostgresSQL(FORWARDS, BACKWARDS)]
