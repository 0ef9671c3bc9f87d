"""A revoked key is refused by every process of every server within a second.

`make revocations` runs a thousand trials; the suite, thirty.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import psycopg
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.tokens import issue_access
from apikeys import services
from apikeys.cache import invalidation
from apikeys.models import ApiKey
from devtools.fleet import VERIFY, Server, fleet
from devtools.ports import LOOPBACK
from devtools.pytest_postgres import database_url
from devtools.settings_for_tests import SETTINGS
from testing.keys import revealed_key

TRIALS = int(os.environ.get("REVOCATION_TRIALS", "30"))
WITHIN = 1.0
# Enough for each of two workers to be asked: a request goes to whichever is awake first.
ASKED = 6

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.http,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(60 + TRIALS),
]


@pytest.fixture(scope="module")
def servers(django_db_setup: None) -> Iterator[list[Server]]:
    """A server with two workers and two with one, on the tests' database."""
    environment = {
        **SETTINGS,
        "DATABASE_URL": database_url(),
        "API_KEY_REQUESTS_PER_MINUTE": "0",
        "FAILED_AUTHENTICATIONS_PER_MINUTE": "0",
        "LOG_LEVEL": "ERROR",
    }
    with fleet(environment, 2, 1, 1) as servers:
        yield servers


def by_sql(statement: str, *parameters: object) -> None:
    parameters_as_psql = invalidation.connection_parameters() | {"application_name": "psql"}
    with psycopg.connect(**parameters_as_psql, autocommit=True) as direct:
        direct.execute(statement, parameters)


def by_staff(key: ApiKey) -> None:
    """The admin's page for it, as staff send it."""
    staff, _ = User.objects.get_or_create(
        email="desk@example.com", defaults={"is_staff": True, "is_superuser": True}
    )
    desk = Client()
    desk.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    url = reverse("admin:apikeys_apikey_action", args=[key.pk, "revoke_key"])
    form = desk.get(url).context["form"]
    fields = {name: form[name].value() or "" for name in form.fields}
    assert desk.post(url, {**fields, "reason": "It leaked."}).status_code == 302


WAYS: dict[str, Callable[[list[Server], ApiKey], object]] = {
    "API": lambda servers, key: servers[key.pk % 3].request(
        "DELETE", f"/api/api-keys/{key.pk}", issue_access(key.user)
    ),
    "admin": lambda _, key: by_staff(key),
    "service": lambda _, key: services.revoke(key.pk, reason="x"),
    "SQL": lambda _, key: by_sql("UPDATE api_keys SET revoked_at = now() WHERE id = %s", key.pk),
}


def refused_after(servers: list[Server], secret: str) -> float:
    """Seconds until the last process has let the key pass for the last time."""
    began = last_passed = time.monotonic()
    refusals = 0
    while refusals < 2 * ASKED:
        asked = time.monotonic()
        answers = [server.verify(secret) for server in servers]
        if 204 in answers:
            last_passed, refusals = asked, 0
        refusals += answers == [401] * len(servers)
        assert time.monotonic() - began < 10 * WITHIN, "it is still accepted"
    return last_passed - began


def warm(servers: list[Server], secret: str) -> None:
    """Let every process keep the key."""
    for server in servers:
        for _ in range(ASKED if server.workers > 1 else 2):
            assert server.verify(secret) == 204


def test_a_revoked_key_is_refused_by_every_process_within_a_second(
    servers: list[Server], stranger: User, capsys: pytest.CaptureFixture[str]
) -> None:
    for server in servers:  # the listeners begin with the first key that is looked up
        warm([server], revealed_key(stranger)[1])
    time.sleep(1)
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for trial in range(TRIALS):
        way = list(WAYS)[trial % len(WAYS)]
        key, secret = revealed_key(stranger, last_used_at=timezone.now())
        warm(servers, secret)
        WAYS[way](servers, key)
        taken[way].append(refused_after(servers, secret))
    with capsys.disabled():
        for way, seconds in taken.items():
            middle, worst = statistics.median(seconds), max(seconds)
            os.write(
                1,
                f"\n  {way}: {len(seconds)} trials, refused everywhere after"
                f" {middle * 1000:.1f} ms (median), {worst * 1000:.1f} ms (worst)".encode(),
            )
    assert max(max(seconds) for seconds in taken.values()) < WITHIN
    assert sum(map(len, taken.values())) == TRIALS


def test_with_its_listener_s_connection_cut_no_process_is_stale(
    servers: list[Server], stranger: User
) -> None:
    for _ in range(5):
        key, secret = revealed_key(stranger, last_used_at=timezone.now())
        warm(servers, secret)
        by_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'payflow key listener' AND datname = current_database()"
        )
        by_sql("UPDATE api_keys SET revoked_at = now() WHERE id = %s", key.pk)
        assert refused_after(servers, secret) < WITHIN


def test_without_notifications_it_would_be_accepted_so_the_caches_are_in_use(
    servers: list[Server], stranger: User
) -> None:
    key, secret = revealed_key(stranger, last_used_at=timezone.now())
    warm(servers, secret)
    time.sleep(1)  # listeners that began with this test's first request are listening now
    warm(servers, secret)
    by_sql("ALTER TABLE api_keys DISABLE TRIGGER payflow_api_keys_changed")
    try:
        by_sql("UPDATE api_keys SET revoked_at = now() WHERE id = %s", key.pk)
        time.sleep(0.1)
        assert 204 in [server.verify(secret) for server in servers]
    finally:
        by_sql("ALTER TABLE api_keys ENABLE ALWAYS TRIGGER payflow_api_keys_changed")


def test_two_authorization_headers_are_401(servers: list[Server], stranger: User) -> None:
    _, secret = revealed_key(stranger)
    connection = HTTPConnection(LOOPBACK, servers[0].port, timeout=10)
    connection.putrequest("GET", VERIFY)
    connection.putheader("Authorization", f"Bearer {secret}")
    connection.putheader("Authorization", f"Bearer {secret}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


@pytest.mark.parametrize("told", [("Content-Length", str(2**21)), ("Transfer-Encoding", "chunked")])
def test_a_gateway_may_send_the_length_of_a_body_without_the_body(
    servers: list[Server], stranger: User, told: tuple[str, str]
) -> None:
    _, secret = revealed_key(stranger)
    for token, answer in ((secret, 204), (f"sk_{'0' * 64}", 401)):
        connection = HTTPConnection(LOOPBACK, servers[0].port, timeout=10)
        connection.putrequest("POST", VERIFY)
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader(*told)
        connection.endheaders()
        assert connection.getresponse().status == answer
        connection.close()


def test_deactivated_users_keys_are_refused_everywhere(
    servers: list[Server], stranger: User
) -> None:
    _, secret = revealed_key(stranger, last_used_at=timezone.now())
    warm(servers, secret)
    by_sql("UPDATE users SET is_active = false WHERE id = %s", stranger.pk)
    assert refused_after(servers, secret) < WITHIN


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "SCRIPT-NAME"])
def test_a_client_cannot_choose_the_prefix_of_the_path(servers: list[Server], name: str) -> None:
    def get(path: str, name: str, value: str) -> int:
        connection = HTTPConnection(LOOPBACK, servers[0].port, timeout=10)
        connection.putrequest("GET", path)
        connection.putheader(name, value)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    assert get("/healthz", name, "/x") == 200
    assert get("/x/healthz", name, "/x") == 404
    assert get("/x/healthz", "PATH_INFO", "/healthz") == 404
