"""Tell every listener when a key may no longer be what its cache says, whoever changed the row.

PostgreSQL sends what is notified when the transaction commits, and nothing when it rolls back.
`last_used_at` is not news. On SQLite nothing is cached, so there is nobody to tell.
"""

from typing import Any

from django.conf import settings
from django.db import migrations

FORWARDS = """
CREATE FUNCTION payflow_tell_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('payflow_api_keys', OLD.key_hash);
    RETURN NULL;
END $$;

CREATE FUNCTION payflow_tell_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('payflow_api_keys', 'user:' || OLD.id);
    RETURN NULL;
END $$;

CREATE FUNCTION payflow_tell_of_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('payflow_api_keys', 'all');
    RETURN NULL;
END $$;

CREATE TRIGGER payflow_key_changed AFTER UPDATE ON api_keys FOR EACH ROW
WHEN (
    (OLD.id, OLD.user_id, OLD.key_hash, OLD.name, OLD.tier,
     OLD.expires_at, OLD.suspended_at, OLD.revoked_at)
    IS DISTINCT FROM
    (NEW.id, NEW.user_id, NEW.key_hash, NEW.name, NEW.tier,
     NEW.expires_at, NEW.suspended_at, NEW.revoked_at)
)
EXECUTE FUNCTION payflow_tell_of_key();

CREATE TRIGGER payflow_key_deleted AFTER DELETE ON api_keys FOR EACH ROW
EXECUTE FUNCTION payflow_tell_of_key();

CREATE TRIGGER payflow_keys_truncated AFTER TRUNCATE ON api_keys FOR EACH STATEMENT
EXECUTE FUNCTION payflow_tell_of_all();

CREATE TRIGGER payflow_user_changed AFTER UPDATE ON users FOR EACH ROW
WHEN ((OLD.id, OLD.is_active) IS DISTINCT FROM (NEW.id, NEW.is_active))
EXECUTE FUNCTION payflow_tell_of_user();

CREATE TRIGGER payflow_user_deleted AFTER DELETE ON users FOR EACH ROW
EXECUTE FUNCTION payflow_tell_of_user();

CREATE TRIGGER payflow_users_truncated AFTER TRUNCATE ON users FOR EACH STATEMENT
EXECUTE FUNCTION payflow_tell_of_all();
"""

BACKWARDS = """
DROP FUNCTION payflow_tell_of_key CASCADE;
DROP FUNCTION payflow_tell_of_user CASCADE;
DROP FUNCTION payflow_tell_of_all CASCADE;
"""


class PostgresSQL(migrations.RunSQL):
    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, *states)


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0002_families_and_tiers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [PostgresSQL(FORWARDS, BACKWARDS)]
