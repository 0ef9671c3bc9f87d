"""Triggers that no session's mode silences, and that no column's type depends on.

What replicates or restores (`session_replication_role = replica`) changes keys like anybody else.
A column that a trigger names in its WHEN, or a function by its field, cannot change its type: the
one is refused, the other fails in every connection that has fired it before. So rows are compared
as wholes, in which nothing but `last_used_at` and `last_login` is no news. A row that is inserted
was in no cache.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.db import migrations

before: Any = import_module("apikeys.migrations.0003_tell_of_changes")

FORWARDS = """
CREATE OR REPLACE FUNCTION payflow_tell_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION payflow_tell_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
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

DROP TRIGGER payflow_key_changed ON api_keys;
CREATE TRIGGER payflow_key_changed AFTER UPDATE ON api_keys FOR EACH ROW
EXECUTE FUNCTION payflow_tell_of_key();

DROP TRIGGER payflow_user_changed ON users;
CREATE TRIGGER payflow_user_changed AFTER UPDATE ON users FOR EACH ROW
EXECUTE FUNCTION payflow_tell_of_user();

ALTER TABLE api_keys ENABLE ALWAYS TRIGGER payflow_key_changed;
ALTER TABLE api_keys ENABLE ALWAYS TRIGGER payflow_key_deleted;
ALTER TABLE api_keys ENABLE ALWAYS TRIGGER payflow_keys_truncated;
ALTER TABLE users ENABLE ALWAYS TRIGGER payflow_user_changed;
ALTER TABLE users ENABLE ALWAYS TRIGGER payflow_user_deleted;
ALTER TABLE users ENABLE ALWAYS TRIGGER payflow_users_truncated;
"""

BACKWARDS = before.BACKWARDS + before.FORWARDS


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0004_found_by_staff")]

    operations = [before.PostgresSQL(FORWARDS, BACKWARDS)]
