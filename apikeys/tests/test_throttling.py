"""Rate limits: requests per key and failed authentications per address."""

from __future__ import annotations

import os
import pickle
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from pytest_django.fixtures import Settings
from redis import Redis
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys import throttling
from devtools import debian
from payflow.cache import redis_caches
from testing.clients import bearer
from testing.factories import PASSWORD, UserFactory
from testing.keys import revealed_key

pytestmark = pytest.mark.django_db

VERIFY = "/api/api-keys/verify"
LISTED = "/api/conversations"
PATHS = [VERIFY, LISTED]


@pytest.fixture(autouse=True)
def limits(in_one_minute: None, settings: Settings) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = 3
    settings.FAILED_AUTHENTICATIONS_PER_MINUTE = 3


@pytest.fixture
def redis(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A real Redis on a socket of its own, which is the shared cache."""
    program = debian.find("redis-server")
    if program is None:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent(debian.missing("redis-server"))
    with tempfile.TemporaryDirectory(prefix="payflow-redis-") as directory:
        socket = Path(directory) / "socket"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", directory]
        server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)  # noqa: S603
        while not socket.exists():
            time.sleep(0.01)
        settings.REDIS_URL = f"unix://{socket}"
        settings.CACHES = redis_caches(settings.REDIS_URL)
        yield server
        caches["default"].close()
        server.kill()
        server.wait()


def fail(address: str = "192.0.2.1", path: str = VERIFY, **headers: Any) -> Any:
    return Client(REMOTE_ADDR=address, **headers).get(
        path, headers={"Authorization": "Bearer sk_" + "0" * 64}
    )


def assert_throttled(response: Any) -> None:
    assert response.status_code == 429
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "throttled"
    assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("path", PATHS)
def test_a_key_with_too_many_requests_is_throttled(stranger: User, path: str) -> None:
    _, secret = revealed_key(stranger)
    client = bearer(secret)
    assert [client.get(path).status_code < 300 for _ in range(3)] == [True] * 3
    assert_throttled(client.get(path))


def test_every_key_has_a_limit_of_its_own(stranger: User) -> None:
    first, second = (bearer(revealed_key(stranger)[1]) for _ in range(2))
    for _ in range(4):
        last = first.get(LISTED)
    assert last.status_code == 429
    assert second.get(LISTED).status_code == 200


def test_an_account_has_one_limit_for_its_tokens_and_sessions(stranger: User) -> None:
    signed_in = APIClient()
    signed_in.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    clients = [bearer(issue_access(stranger)), bearer(issue_access(stranger)), signed_in]
    assert [client.get(LISTED).status_code for client in clients] == [200] * 3
    for client in clients:
        assert_throttled(client.get(LISTED))
    assert bearer(revealed_key(stranger)[1]).get(LISTED).status_code == 200
    assert bearer(issue_access(UserFactory.create())).get(LISTED).status_code == 200


def test_the_wait_ends_with_the_minute(stranger: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = bearer(revealed_key(stranger)[1])
    for _ in range(4):
        last = client.get(VERIFY)
    later = time.time() + int(last.headers["Retry-After"])
    monkeypatch.setattr("time.time", lambda: later)
    assert client.get(VERIFY).status_code == 204


def test_no_limit_is_no_limit(stranger: User, settings: Settings) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = settings.FAILED_AUTHENTICATIONS_PER_MINUTE = 0
    client = bearer(revealed_key(stranger)[1])
    assert {client.get(VERIFY).status_code for _ in range(9)} == {204}
    assert {fail().status_code for _ in range(9)} == {401}


@pytest.mark.parametrize("path", PATHS)
def test_an_address_with_too_many_failures_is_throttled(path: str) -> None:
    assert [fail(path=path).status_code for _ in range(3)] == [401] * 3
    assert_throttled(fail(path=path))
    assert fail("192.0.2.2", path).status_code == 401


def test_a_valid_key_from_the_same_address_still_works(stranger: User) -> None:
    _, secret = revealed_key(stranger)
    for _ in range(5):
        fail()
    response = Client().get(VERIFY, HTTP_AUTHORIZATION=f"Bearer {secret}", REMOTE_ADDR="192.0.2.1")
    assert response.status_code == 204


def test_a_request_without_credentials_is_no_failure() -> None:
    for _ in range(9):
        response = Client().get(LISTED)
    assert response.status_code == 401


def test_after_too_many_wrong_passwords_even_the_right_one_is_refused() -> None:
    user = UserFactory.create(password=PASSWORD)
    client = APIClient()
    for _ in range(3):
        wrong = {"email": user.email, "password": "wrong"}
        assert client.post("/api/auth/token", wrong, format="json").status_code == 401
    right = {"email": user.email, "password": PASSWORD}
    assert_throttled(client.post("/api/auth/token", right, format="json"))
    elsewhere = APIClient(REMOTE_ADDR="192.0.2.9")
    assert elsewhere.post("/api/auth/token", right, format="json").status_code == 200


def test_x_forwarded_for_is_not_trusted_without_proxies() -> None:
    answers = [fail(HTTP_X_FORWARDED_FOR=f"198.51.100.{n}").status_code for n in range(4)]
    assert answers == [401, 401, 401, 429]


def test_x_forwarded_for_is_trusted_for_the_configured_proxies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1, raising=False)
    for n in range(4):
        last = fail(HTTP_X_FORWARDED_FOR=f"10.0.0.{n}, 198.51.100.7")
    assert last.status_code == 429
    assert fail(HTTP_X_FORWARDED_FOR="10.0.0.0, 198.51.100.8").status_code == 401


def test_ipv6_is_counted_by_its_64_bit_network() -> None:
    for n in range(4):
        last = fail(f"2001:db8:1:2::{n}")
    assert last.status_code == 429
    assert fail("2001:db8:1:3::1").status_code == 401


def test_an_ipv4_mapped_address_is_counted_as_ipv4() -> None:
    assert [fail(f"::ffff:192.0.2.{n}").status_code for n in range(4)] == [401] * 4
    for _ in range(3):
        last = fail("::ffff:192.0.2.1")
    assert last.status_code == 429
    assert fail("192.0.2.1").status_code == 429


@pytest.mark.parametrize(
    ("entry", "same"),
    [
        ("192.0.2.1:{}", "192.0.2.1"),
        ("[2001:db8::1]:{}", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:{}", "192.0.2.1"),
    ],
)
def test_a_port_does_not_change_the_address(
    monkeypatch: pytest.MonkeyPatch, entry: str, same: str
) -> None:
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1, raising=False)
    for port in range(50000, 50003):
        assert fail(HTTP_X_FORWARDED_FOR=entry.format(port)).status_code == 401
    assert fail(HTTP_X_FORWARDED_FOR=same).status_code == 429


@pytest.mark.parametrize("address", ["fe80::1%eth0", "[", "[]:1", "1.2.3:4", "unix:"])
def test_an_unusual_address_is_counted_too(address: str) -> None:
    assert [fail(address).status_code for _ in range(4)] == [401, 401, 401, 429]


def test_failed_keys_do_not_block_sign_in_from_the_same_address() -> None:
    user = UserFactory.create(password=PASSWORD)
    for _ in range(5):
        fail("127.0.0.1")
    right = {"email": user.email, "password": PASSWORD}
    assert APIClient().post("/api/auth/token", right, format="json").status_code == 200


def test_an_empty_address_is_counted_too() -> None:
    assert [fail("").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_redis_counts_for_all_processes(redis: subprocess.Popen[bytes], stranger: User) -> None:
    client = bearer(revealed_key(stranger)[1])
    assert [client.get(VERIFY).status_code for _ in range(2)] == [204, 204]
    throttling.COUNTER.clear()  # as another process, which has counted nothing itself
    assert [client.get(VERIFY).status_code for _ in range(2)] == [204, 429]
    assert [fail().status_code for _ in range(4)] == [401, 401, 401, 429]


class Attack:
    """Unpickled, it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_stands_in_redis_is_not_run_and_stops_nobody(
    redis: subprocess.Popen[bytes], stranger: User, tmp_path: Path, settings: Settings
) -> None:
    path = tmp_path / "ran"
    server = Redis.from_url(settings.REDIS_URL)
    user = UserFactory.create(password=PASSWORD)
    client = bearer(revealed_key(stranger)[1])
    body = {"email": user.email, "password": PASSWORD}
    for _ in range(2):
        wrong = APIClient().post("/api/auth/token", {**body, "password": "x"}, format="json")
        assert wrong.status_code == 401
        assert client.get(VERIFY).status_code == 204
        keys = list(server.scan_iter())
        assert keys
        for key in keys:
            server.set(key, pickle.dumps(Attack(path)))
    assert APIClient().post("/api/auth/token", body, format="json").status_code == 200
    server.close()
    assert not path.exists()


def test_the_number_of_counters_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttling, "MAX_COUNTERS", 2)
    counts = throttling.ProcessCounts()
    assert [counts.add(name, 1) for name in "aabbccaabb"] == [1, 2, 1, 2, 1, 1, 3, 4, 3, 4]
    assert len(counts._counts) == 2
    assert counts.add("c", 2) == 1
    assert counts.add("c", 2) == 2


def test_pages_and_the_desk_work_while_redis_is_gone(
    redis: subprocess.Popen[bytes], stranger: User, admin_client: Client, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    customer = Client()
    customer.force_login(stranger, "django.contrib.auth.backends.ModelBackend")
    pages = ((customer, "/"), (admin_client, "/admin/"))
    assert [client.get(path).status_code for client, path in pages] == [200, 200]
    redis.kill()
    redis.wait()
    assert [client.get(path).status_code for client, path in pages] == [200, 200]


def test_without_redis_each_process_counts_for_itself_without_delay(
    redis: subprocess.Popen[bytes], stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "COUNTER", throttling.Counter())
    client = bearer(revealed_key(stranger)[1])
    assert client.get(VERIFY).status_code == 204
    redis.kill()
    redis.wait()
    began = time.monotonic()
    assert [client.get(VERIFY).status_code for _ in range(4)] == [204, 204, 204, 429]
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("header", ["Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "Bearer", "Bearer x"])
def test_every_failed_bearer_token_is_counted_once(header: str) -> None:
    failures = [Client().get(LISTED, headers={"Authorization": header}) for _ in range(4)]
    assert [response.status_code for response in failures] == [401, 401, 401, 429]
    assert_throttled(failures[-1])


def test_a_failed_refresh_is_counted_with_the_wrong_passwords() -> None:
    client = APIClient(HTTP_AUTHORIZATION="Bearer malformed")
    for _ in range(3):
        response = client.post("/api/auth/token/refresh", {"refresh": "x"}, format="json")
        assert response.status_code == 401
    right = {"email": UserFactory.create(password=PASSWORD).email, "password": PASSWORD}
    assert_throttled(client.post("/api/auth/token", right, format="json"))
    assert fail("127.0.0.1").status_code == 401
