"""The cache of active keys: what it serves, for how long, and what invalidates it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from apikeys import lookup, services, tokens
from apikeys.cache import invalidation
from apikeys.cache.store import CACHE, MAX_AGE, CachedKey, KeyCache
from apikeys.models import ApiKey
from testing.keys import revealed_key

URL = "/api/api-keys/verify"
WITHIN = 1.0

postgres = pytest.mark.postgres
committed = pytest.mark.django_db(transaction=True)


def entry(number: int, user_id: int = 1, grant_id: int = 1) -> CachedKey:
    return CachedKey(number, user_id, grant_id, "a key", "premium", None, None)


@pytest.fixture
def cache() -> KeyCache:
    cache = KeyCache(max_entries=3)
    cache.extend_lease(time.monotonic() + 60)
    return cache


def fill(cache: KeyCache, *digests: str) -> None:
    for number, digest in enumerate(digests):
        generation = cache.generation()
        assert generation is not None
        cache.put(digest, entry(number), generation)


def test_it_never_exceeds_its_size_and_drops_the_least_recently_used(cache: KeyCache) -> None:
    fill(cache, "a", "b", "c")
    assert cache.get("a") is not None
    fill(cache, "d", "e")
    assert len(cache) == 3
    assert [digest for digest in "abcde" if cache.get(digest)] == ["a", "d", "e"]


def test_invalidating_a_grant_drops_all_its_keys_and_nothing_else(cache: KeyCache) -> None:
    for number, (digest, grant_id) in enumerate({"a": 1, "b": 2, "c": 1}.items()):
        cache.put(digest, entry(number, grant_id=grant_id), cache.generation() or 0)
    cache.invalidate_grant(1)
    cache.invalidate_grant(3)
    assert [digest for digest in "abc" if cache.get(digest)] == ["b"]


def test_a_dropped_or_replaced_entry_leaves_nothing_in_the_index_by_grant(cache: KeyCache) -> None:
    for number, digest in enumerate("abcdda"):
        cache.put(digest, entry(number, grant_id=number), cache.generation() or 0)
    assert set(cache._by_grant) == {key.grant_id for key in cache._entries.values()}
    for digest in "acd":
        cache.invalidate(digest)
    assert not cache._by_grant


def test_without_a_lease_it_neither_serves_nor_stores(cache: KeyCache) -> None:
    fill(cache, "a")
    cache.extend_lease(time.monotonic() - 0.001)
    assert cache.get("a") is None
    assert cache.generation() is None


def test_no_entry_is_served_for_longer_than_max_age(
    cache: KeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    cache.extend_lease(began + 2 * MAX_AGE)
    fill(cache, "a")
    monkeypatch.setattr(time, "monotonic", lambda: began + MAX_AGE - 1)
    assert cache.get("a") is not None
    fill(cache, "b")
    monkeypatch.setattr(time, "monotonic", lambda: began + MAX_AGE + 1)
    assert cache.get("a") is None
    assert cache.get("b") is not None
    fill(cache, "a")
    assert cache.get("a") is not None


def test_a_result_older_than_an_invalidation_is_not_stored(cache: KeyCache) -> None:
    generation = cache.generation()
    assert generation is not None
    cache.invalidate("another")
    cache.put("a", entry(1), generation)
    assert cache.get("a") is None


def test_an_entry_invalidated_while_disabled_is_not_served_later(
    cache: KeyCache,
) -> None:
    fill(cache, "a")
    generation = cache.generation()
    assert generation is not None
    cache.disable()
    cache.put("b", entry(2), generation)
    cache.extend_lease(time.monotonic() + 60)
    assert cache.get("a") is None
    assert cache.get("b") is None


def test_it_invalidates_one_key_or_a_user_or_all(cache: KeyCache) -> None:
    for digest, user_id in (("a", 1), ("b", 2), ("c", 2)):
        cache.put(digest, entry(1, user_id), cache.generation() or 0)
    cache.invalidate("a")
    assert [cache.get(digest) is not None for digest in "abc"] == [False, True, True]
    cache.invalidate_user(2)
    assert len(cache) == 0
    fill(cache, "d")
    cache.invalidate_all()
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("payload", "left"),
    [("a" * 64, "b"), ("user:2", "a"), ("all", ""), ("what is this", ""), ("user:x", "")],
)
def test_the_listener_handles_every_notification(payload: str, left: str) -> None:
    cache = KeyCache()
    cache.extend_lease(time.monotonic() + 60)
    for digest, user_id in (("a" * 64, 1), ("b" * 64, 2)):
        cache.put(digest, entry(1, user_id), cache.generation() or 0)
    invalidation.Listener(cache)._handle_notification(payload)
    assert "".join(digest for digest in "ab" if cache.get(digest * 64)) == left


def test_a_connection_pooler_is_detected() -> None:
    def connected(greeted: int, answers: int) -> Any:
        cursor = SimpleNamespace(fetchone=lambda: (answers,))
        info = SimpleNamespace(backend_pid=greeted)
        return SimpleNamespace(execute=lambda query: cursor, info=info)

    invalidation._check_alive(connected(7, 7))
    with pytest.raises(invalidation.PoolerDetected):
        invalidation._check_alive(connected(7, 8))


def test_a_forked_process_starts_without_entries() -> None:
    CACHE.extend_lease(time.monotonic() + 60)
    fill(CACHE, "a")
    invalidation._reset_after_fork()
    assert not CACHE.is_enabled
    assert len(CACHE) == 0
    assert invalidation.LISTENER._thread is None


# --- With PostgreSQL and its triggers ------------------------------------------------------------


@pytest.fixture
def cached(stranger: User) -> Iterator[tuple[ApiKey, str]]:
    """A key that this process has in its cache."""
    key, secret = revealed_key(stranger, last_used_at=timezone.now())
    until(lambda: status(secret) == 204 and CACHE.get(tokens.digest(secret)) is not None, 5)
    yield key, secret
    invalidation.LISTENER.stop()


def status(secret: str) -> int:
    return Client().get(URL, headers={"Authorization": f"Bearer {secret}"}).status_code


def until(condition: Callable[[], bool], seconds: float = WITHIN) -> None:
    deadline = time.monotonic() + seconds
    asked = time.monotonic()
    while not condition():
        assert asked < deadline, "it did not happen in time"
        time.sleep(0.005)
        asked = time.monotonic()


def by_sql(statement: str, *parameters: Any) -> None:
    """On a connection that Django knows nothing of, as with psql."""
    with psycopg.connect(**_direct()) as direct:
        direct.execute(statement, parameters)


def _direct() -> dict[str, Any]:
    return invalidation.connection_parameters() | {"application_name": "psql"}


@postgres
@committed
def test_a_hit_needs_no_query(
    cached: tuple[ApiKey, str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert status(cached[1]) == 204


STATEMENTS = {
    "revoked": "UPDATE api_keys SET revoked_at = now() WHERE id = %(key)s",
    "suspended": "UPDATE api_keys SET suspended_at = now() WHERE id = %(key)s",
    "expired": "UPDATE api_keys SET expires_at = now() WHERE id = %(key)s",
    "minted anew": "UPDATE api_keys SET key_hash = repeat('0', 64) WHERE id = %(key)s",
    "grant revoked": "UPDATE grants SET revoked_at = now() WHERE id = %(grant)s",
    "grant suspended": "UPDATE grants SET suspended_at = now() WHERE id = %(grant)s",
    "grant stopped": "UPDATE grants SET stopped_at = now() WHERE id = %(grant)s",
    "grants truncated": "TRUNCATE grants CASCADE",
    "deleted": "DELETE FROM api_keys WHERE id = %(key)s",
    "all deleted": "DELETE FROM api_keys",
    "truncated": "TRUNCATE api_keys CASCADE",
    "its user deactivated": "UPDATE users SET is_active = false WHERE id = %(user)s",
    "its user deleted": "WITH k AS (DELETE FROM api_keys WHERE user_id = %(user)s)"
    ", g AS (DELETE FROM grants WHERE user_id = %(user)s)"
    " DELETE FROM users WHERE id = %(user)s",
}


@postgres
@committed
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_key_changed_by_sql_is_refused_within_a_second(
    cached: tuple[ApiKey, str], statement: str
) -> None:
    key, secret = cached
    with psycopg.connect(**_direct()) as direct:
        facts = {"key": key.pk, "user": key.user_id, "grant": key.grant_id}
        direct.execute(statement, facts)
    until(lambda: status(secret) == 401)


SERVICES: dict[str, Callable[[ApiKey], object]] = {
    "revoke": lambda key: services.revoke(key.pk, reason="x"),
    "stop_grant": lambda key: services.stop_grant(key.grant_id, reason="x"),
    "revoke_grant": lambda key: services.update_grant(key.grant, revoked=True, suspended=False),
    "suspend_grant": lambda key: services.update_grant(key.grant, revoked=False, suspended=True),
    "suspend": lambda key: services.suspend(key.pk),
    "rotate": lambda key: services.rotate(user_id=key.user_id, key_id=key.pk, grace=timedelta(0)),
    "deactivate": lambda key: User.objects.filter(pk=key.user_id).update(is_active=False),
}


@postgres
@committed
@pytest.mark.parametrize("name", SERVICES)
def test_a_key_stopped_by_a_service_is_refused_within_a_second(
    cached: tuple[ApiKey, str], name: str
) -> None:
    SERVICES[name](cached[0])
    until(lambda: status(cached[1]) == 401)


@postgres
@committed
def test_the_process_that_revokes_refuses_immediately(cached: tuple[ApiKey, str]) -> None:
    services.revoke(cached[0].pk, reason="x")
    assert status(cached[1]) == 401


@postgres
@committed
def test_a_restored_key_works_and_a_new_name_is_returned(cached: tuple[ApiKey, str]) -> None:
    key, secret = cached
    services.suspend(key.pk)
    until(lambda: status(secret) == 401)
    services.restore(key.pk)
    assert status(secret) == 204
    # Asked again: the notification of the change drops what was kept before it came.
    until(lambda: status(secret) == 204 and CACHE.get(tokens.digest(secret)) is not None)
    by_sql("UPDATE api_keys SET name = 'office' WHERE id = %s", key.pk)

    def name() -> str:
        answer = Client().get(URL, headers={"Authorization": f"Bearer {secret}"})
        return answer.headers["X-Key-Name"]

    until(lambda: name() == "office")


@postgres
@committed
def test_an_expiry_needs_no_notification(stranger: User) -> None:
    invalidation.LISTENER.ensure_running()
    until(lambda: CACHE.is_enabled, 30)
    ends = timezone.now() + timedelta(seconds=2)
    _, secret = revealed_key(stranger, expires_at=ends, last_used_at=timezone.now())
    until(lambda: status(secret) == 204 and CACHE.get(tokens.digest(secret)) is not None, 1.9)
    time.sleep(max(0.0, (ends - timezone.now()).total_seconds()))
    assert CACHE.get(tokens.digest(secret)) is not None
    assert status(secret) == 401


@postgres
@committed
def test_updating_last_used_sends_no_notification(cached: tuple[ApiKey, str]) -> None:
    by_sql("UPDATE api_keys SET last_used_at = now() WHERE id = %s", cached[0].pk)
    time.sleep(2 * invalidation.HEARTBEAT)
    assert CACHE.get(tokens.digest(cached[1])) is not None


@postgres
@committed
def test_last_used_of_a_cached_key_is_updated_once_a_minute(cached: tuple[ApiKey, str]) -> None:
    key, secret = cached
    long_ago = timezone.now() - timedelta(minutes=5)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=long_ago)
    entry = CACHE.get(tokens.digest(secret))
    assert entry is not None
    entry.last_used_at = long_ago
    assert status(secret) == 204
    key.refresh_from_db()
    noted = key.last_used_at
    assert noted is not None
    assert timezone.now() - noted < timedelta(seconds=10)
    assert status(secret) == 204
    key.refresh_from_db()
    assert key.last_used_at == noted


@postgres
@committed
def test_within_a_transaction_the_cache_is_not_used(cached: tuple[ApiKey, str]) -> None:
    key, secret = cached
    with transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
        assert status(secret) == 401
        transaction.set_rollback(True)
    assert status(secret) == 204


@postgres
@committed
def test_a_lost_connection_empties_the_cache_until_it_is_restored(
    cached: tuple[ApiKey, str],
) -> None:
    key, secret = cached
    for _ in range(3):
        by_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'payflow key listener' AND datname = current_database()"
        )
        until(lambda: not CACHE.is_enabled and len(CACHE) == 0)
        assert status(secret) == 204  # the database knows
        until(lambda: CACHE.is_enabled, 5)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    until(lambda: status(secret) == 401)


@postgres
@committed
def test_a_silent_connection_disables_the_cache_in_time(
    cached: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is gone without an error: no notification, no answer to the heartbeat."""
    release = threading.Event()
    monkeypatch.setattr(invalidation, "_check_alive", lambda _: release.wait(10))
    monkeypatch.setattr(invalidation.Listener, "_drain", lambda *_: None)
    try:
        by_sql("UPDATE api_keys SET revoked_at = now() WHERE id = %s", cached[0].pk)
        until(lambda: status(cached[1]) == 401)
    finally:
        release.set()


@postgres
@committed
def test_a_listener_that_cannot_connect_leaves_the_cache_disabled(
    stranger: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = {"host": "/nowhere", "dbname": "nothing"}
    monkeypatch.setattr(invalidation, "connection_parameters", lambda: nowhere)
    _, secret = revealed_key(stranger)
    assert status(secret) == 204
    until(lambda: "not cached" in caplog.text, 5)
    assert status(secret) == 204
    assert not CACHE.is_enabled


@postgres
@committed
def test_an_unexpected_error_does_not_stop_the_listener(
    cached: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(invalidation, "_check_alive", lambda _: {"a": 1}["pid"])
        until(lambda: not CACHE.is_enabled, 2)
        assert status(cached[1]) == 204
    until(lambda: CACHE.is_enabled, 5)
    assert "not cached" in caplog.text
    assert "KeyError" in caplog.text


@postgres
@committed
def test_a_listener_that_stopped_is_started_again(stranger: User) -> None:
    ended = threading.Thread()
    ended.start()
    ended.join()
    invalidation.LISTENER._thread = ended
    _, secret = revealed_key(stranger)
    assert status(secret) == 204
    until(lambda: CACHE.is_enabled, 5)


@postgres
@committed
def test_a_failed_query_closes_its_connection(cached: tuple[ApiKey, str]) -> None:
    """A statement prepared before a column changed its type never works again."""
    digest = tokens.digest(cached[1])

    def answered() -> bool:
        try:
            return invalidation.LISTENER.query(lookup._FIND, (digest,)) is not None
        except invalidation.Unavailable:
            return False

    assert answered()
    by_sql("ALTER TABLE api_keys ALTER COLUMN last_used_at TYPE timestamptz(3)")
    try:
        _, secret = revealed_key(cached[0].user)
        assert status(secret) == 204
        until(answered)
        assert CACHE.get(digest) is not None
        by_sql("UPDATE api_keys SET revoked_at = now() WHERE id = %s", cached[0].pk)
        until(lambda: status(cached[1]) == 401)
    finally:
        by_sql("ALTER TABLE api_keys ALTER COLUMN last_used_at TYPE timestamptz")


@pytest.fixture
def unchecked(cached: tuple[ApiKey, str]) -> Iterator[tuple[ApiKey, str]]:
    """A cached key in a table without checks of its times, as in an older dump."""
    checks = [check for check in ApiKey._meta.constraints if check.name.endswith("_finite")]
    assert checks
    with connection.schema_editor() as editor:
        for check in checks:
            editor.remove_constraint(ApiKey, check)
    yield cached
    ApiKey.objects.update(expires_at=None, last_used_at=None)
    with connection.schema_editor() as editor:
        for check in checks:
            editor.add_constraint(ApiKey, check)


@postgres
@committed
@pytest.mark.parametrize("end", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
def test_a_key_whose_expiry_cannot_be_read_is_refused_and_the_connection_stays(
    unchecked: tuple[ApiKey, str], end: str
) -> None:
    key, secret = unchecked
    by_sql("UPDATE api_keys SET expires_at = %s::text::timestamptz WHERE id = %s", end, key.pk)
    until(lambda: status(secret) == 401)
    queries = invalidation.LISTENER._query_cursor
    assert queries is not None
    assert status(secret) == 401
    with transaction.atomic():
        assert status(secret) == 401
        assert ApiKey.objects.count() == 1
    assert invalidation.LISTENER._query_cursor is queries
    assert not queries.closed


@postgres
@committed
@pytest.mark.parametrize(
    "column",
    [
        "api_keys.expires_at",
        "api_keys.last_used_at",
        "api_keys.revealed_at",
        "api_keys.rotated_at",
        "api_keys.suspended_at",
        "api_keys.revoked_at",
        "grants.suspended_at",
        "grants.revoked_at",
        "grants.stopped_at",
    ],
)
def test_a_time_that_cannot_be_read_is_not_stored(stranger: User, column: str) -> None:
    revealed_key(stranger)
    table, column = column.split(".")
    for unreadable in ("infinity", "-infinity", "20000-01-01", "0044-03-15 BC"):
        with pytest.raises(psycopg.errors.CheckViolation):
            by_sql(f"UPDATE {table} SET {column} = %s::text::timestamptz", unreadable)  # noqa: S608
    by_sql(f"UPDATE {table} SET {column} = '9999-12-31 23:59:59+00'")  # noqa: S608


@pytest.mark.sqlite
@committed
def test_on_sqlite_nothing_is_cached(stranger: User) -> None:
    _, secret = revealed_key(stranger)
    assert status(secret) == 204
    assert status(secret) == 204
    assert invalidation.LISTENER._thread is None
    assert connection.vendor == "sqlite"


@postgres
@committed
def test_the_listener_connects_with_all_options_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {**connection.settings_dict["OPTIONS"], "options": "-c search_path=tenant"}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    with invalidation.connect() as connected:
        assert connected.execute("SHOW search_path").fetchone() == ("tenant",)
        assert connected.execute("SELECT current_database()").fetchone() == (
            connection.settings_dict["NAME"],
        )
        assert connected.info.get_parameters()["application_name"] == "payflow key listener"


@pytest.fixture
def due(cached: tuple[ApiKey, str]) -> tuple[ApiKey, str]:
    """A cached key whose last_used_at is due for an update."""
    key, secret = cached
    long_ago = timezone.now() - timedelta(minutes=5)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=long_ago)
    known = CACHE.get(tokens.digest(secret))
    assert known is not None
    known.last_used_at = long_ago
    return cached


@pytest.mark.parametrize(
    "payload",
    [
        *("all", "", "of tomorrow", "grant:", "grant:x"),
        *("user:", "user:\u00b2", "user:" + "9" * 5000, "user:x"),
    ],
)
def test_an_unreadable_notification_empties_the_cache(payload: str) -> None:
    cache = KeyCache()
    cache.extend_lease(time.monotonic() + 60)
    generation = cache.generation()
    assert generation is not None
    cache.put("digest", CachedKey(1, 1, 1, "a key", "", None, None), generation)
    invalidation.Listener(cache)._handle_notification(payload)
    assert len(cache) == 0


@postgres
@committed
def test_a_locked_table_delays_no_request(due: tuple[ApiKey, str]) -> None:
    before = _lock_timeout()
    with psycopg.connect(**_direct()) as migration:
        migration.execute("LOCK TABLE api_keys IN SHARE MODE")  # as CREATE INDEX does
        began = time.monotonic()
        assert status(due[1]) == 204
        assert time.monotonic() - began < 1
    assert _lock_timeout() == before


def _lock_timeout() -> str:
    """Of Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return str(cursor.fetchone()[0])


def _set_read_only(switch: str) -> None:
    """Make both connections that update last_used_at read-only, or writable again."""
    queries = invalidation.LISTENER._query_cursor
    assert queries is not None
    with connection.cursor() as cursor, queries.connection.cursor() as other:
        cursor.execute("SELECT set_config('default_transaction_read_only', %s, false)", [switch])
        other.execute("SELECT set_config('default_transaction_read_only', %s, false)", [switch])


@postgres
@committed
def test_a_failed_update_of_last_used_fails_no_request(due: tuple[ApiKey, str]) -> None:
    key, secret = due
    _set_read_only("on")
    try:
        assert status(secret) == 204
        assert invalidation.LISTENER._query_cursor is not None  # still usable
    finally:
        _set_read_only("off")
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert timezone.now() - key.last_used_at > timedelta(minutes=4)
