"""Which changes PostgreSQL notifies, made in any session and with any column types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from accounts.models import User
from apikeys.cache import invalidation
from apikeys.models import ApiKey
from testing.keys import revealed_key

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

Connection = psycopg.Connection[Any]
Notifications = Callable[[], list[str]]


@pytest.fixture
def direct() -> Iterator[Connection]:
    """A connection that lives on through the whole test, as one of a pool does."""
    with invalidation.connect() as direct:
        yield direct


@pytest.fixture
def notified() -> Iterator[Notifications]:
    """What was notified since it was last asked."""
    with invalidation.connect() as connected:
        connected.execute(f"LISTEN {invalidation.CHANNEL}")

        def notified() -> list[str]:
            connected.execute("SELECT 1")  # what was committed before comes with the answer
            return [news.payload for news in connected.notifies(timeout=0)]

        yield notified


@pytest.fixture
def key(stranger: User) -> ApiKey:
    return revealed_key(stranger)[0]


def test_a_changed_key_is_notified_and_its_use_is_not(
    key: ApiKey, direct: Connection, notified: Notifications
) -> None:
    direct.execute("UPDATE api_keys SET last_used_at = now()")
    direct.execute("UPDATE users SET last_login = now()")
    direct.execute("UPDATE api_keys SET name = name")
    assert notified() == []
    direct.execute("UPDATE api_keys SET name = 'x', last_used_at = now()")
    assert notified() == [key.key_hash]


CHANGES = {
    "UPDATE api_keys SET revoked_at = now()": "key",
    "UPDATE users SET is_active = false": "user",
    "DELETE FROM api_keys": "key",
    "DELETE FROM users": "user",
    "UPDATE grants SET stopped_at = now()": "grant",
    "DELETE FROM grants": "grant",
    "TRUNCATE api_keys CASCADE": "all",
    "TRUNCATE grants CASCADE": "all",
    "TRUNCATE users CASCADE": "all",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_in_replica_mode_notifies_too(
    key: ApiKey, direct: Connection, notified: Notifications, change: str
) -> None:
    direct.execute("SET session_replication_role = replica")
    direct.execute(change)
    payloads = {
        "key": key.key_hash,
        "grant": f"grant:{key.grant_id}",
        "user": f"user:{key.user_id}",
        "all": "all",
    }
    assert payloads[CHANGES[change]] in notified()


@pytest.mark.parametrize(
    ("table", "column", "other", "own"),
    [
        ("api_keys", "name", "text", "varchar(200)"),
        ("api_keys", "key_hash", "text", "varchar(64)"),
        ("api_keys", "last_used_at", "timestamp", "timestamptz"),
        ("users", "last_login", "timestamp", "timestamptz"),
    ],
)
def test_a_column_may_change_its_type_under_open_connections(
    key: ApiKey,
    direct: Connection,
    notified: Notifications,
    table: str,
    column: str,
    other: str,
    own: str,
) -> None:
    change = f"UPDATE {table} SET {{}}"  # noqa: S608
    unheard = "last_used_at = now()" if table == "api_keys" else "last_login = now()"
    heard = "revoked_at = {}" if table == "api_keys" else "is_active = {} IS NULL"
    payload = key.key_hash if table == "api_keys" else f"user:{key.user_id}"

    def tells(value: str) -> bool:
        direct.execute(change.format(unheard))
        nothing = notified()
        direct.execute(change.format(heard.format(value)))
        return (nothing, notified()) == ([], [payload])

    assert tells("now()")
    alter = f"ALTER TABLE {table} ALTER COLUMN {column} TYPE"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{alter} {other}")
    try:
        assert tells("NULL")
    finally:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{alter} {own}")
    assert tells("now()")


def test_an_update_of_a_grant_that_changes_nothing_is_not_notified(
    key: ApiKey, direct: Connection, notified: Notifications
) -> None:
    direct.execute("UPDATE grants SET tier = tier")
    assert notified() == []


def test_the_migration_can_be_taken_back(key: ApiKey) -> None:
    migration = import_module("apikeys.migrations.0002_notify_triggers")
    now = triggers()
    assert len(now) == 6
    assert {enabled for _, enabled in now} == {"A"}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(migration.BACKWARDS)
        assert triggers() == []
        cursor.execute(migration.FORWARDS)
        assert triggers() == now


def triggers() -> list[tuple[str, str]]:
    """Our triggers: how each is defined, and in which sessions it fires."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger"
            " WHERE tgname LIKE 'payflow%' ORDER BY tgname"
        )
        return list(cursor.fetchall())
