"""Authentication by API key, and every reason to refuse one."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts.models import User
from apikeys.last_used import touch_last_used
from apikeys.models import ApiKey
from testing.clients import bearer
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

URL = "/api/conversations"


def assert_refused(client: APIClient) -> None:
    response = client.get(URL)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_key_authenticates_its_user(stranger: User) -> None:
    _, secret = revealed_key(stranger)
    listed = bearer(secret).get(URL).json()
    assert listed == {"conversations": [], "next": None, "previous": None}


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer   {}", " Bearer {} "])
def test_the_scheme_is_read_in_any_case_and_with_more_spaces(stranger: User, header: str) -> None:
    _, secret = revealed_key(stranger)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header.format(secret))
    assert client.get(URL).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer sk_",
        "Bearer sk_" + "0" * 64,
        "Bearer sk_" + "0" * 100_000,
        "Bearer sk_\xff\xfe",
        "Bearer sk_" + "a" * 64 + " and more",
        "Bearer\tsk_" + "a" * 64,
        "sk_" + "a" * 64,
        "Basic c2tfOg==",
        "Token sk_" + "a" * 64,
    ],
)
def test_a_header_without_a_good_key_is_refused(header: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    assert_refused(client)


@pytest.mark.parametrize(
    "facts",
    [
        {"revoked_at": timezone.now()},
        {"suspended_at": timezone.now()},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
    ],
    ids=["revoked", "suspended", "expired"],
)
def test_an_inactive_key_is_refused(stranger: User, facts: dict[str, object]) -> None:
    _, secret = revealed_key(stranger, **facts)
    assert_refused(bearer(secret))


def test_a_key_that_will_expire_still_authenticates(stranger: User) -> None:
    _, secret = revealed_key(stranger, expires_at=timezone.now() + timedelta(minutes=1))
    assert bearer(secret).get(URL).status_code == 200


def test_the_key_of_an_inactive_user_is_refused(stranger: User) -> None:
    _, secret = revealed_key(stranger)
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    assert_refused(bearer(secret))


def test_a_prefix_or_a_hash_does_not_authenticate(stranger: User) -> None:
    key, _ = revealed_key(stranger)
    assert_refused(bearer(key.key_prefix))
    assert_refused(bearer(key.key_hash))
    assert_refused(bearer(f"sk_{key.key_hash}"))


def test_last_used_is_updated_at_most_once_a_minute(stranger: User) -> None:
    key, secret = revealed_key(stranger)
    bearer(secret).get(URL)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    bearer(secret).get(URL)
    key.refresh_from_db()
    assert key.last_used_at == first
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=first - timedelta(seconds=61))
    bearer(secret).get(URL)
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.last_used_at >= first


def test_a_last_use_in_the_future_is_corrected(stranger: User) -> None:
    key, secret = revealed_key(stranger, last_used_at=timezone.now() + timedelta(days=3))
    assert bearer(secret).get(URL).status_code == 200
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.last_used_at <= timezone.now()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="of PostgreSQL's tables")
def test_updating_last_used_touches_no_index(stranger: User) -> None:
    key, _ = revealed_key(stranger, last_used_at=None)
    updated = "pg_stat_get_xact_tuples_{}updated('api_keys'::regclass)"
    with connection.cursor() as cursor:
        counts = f"SELECT {updated.format('')}, {updated.format('hot_')}"
        cursor.execute(counts)
        all_before, hot_before = cursor.fetchone()
        touch_last_used(key)
        cursor.execute(counts)
        assert cursor.fetchone() == (all_before + 1, hot_before + 1)
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = 'api_keys'::regclass")
        assert cursor.fetchone() == (["fillfactor=85"],)  # room for it on every page


def test_a_check_is_one_query_by_the_unique_hash(
    stranger: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, secret = revealed_key(stranger, last_used_at=timezone.now())
    with django_assert_num_queries(2) as captured:  # the key with its user; the view's own
        assert bearer(secret).get(URL).status_code == 200
    assert "key_hash" in captured[0]["sql"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_updating_last_used_never_waits_for_a_lock(stranger: User) -> None:
    key, _ = revealed_key(stranger)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            ApiKey.objects.select_for_update().get(pk=key.pk)
            locked.set()
            done.wait(timeout=10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(timeout=10)
        touch_last_used(key)  # would hang here, and with it the customer's request
        key.refresh_from_db()
        assert key.last_used_at is None
    finally:
        done.set()
        holder.join()
    touch_last_used(key)
    key.refresh_from_db()
    assert key.last_used_at is not None
