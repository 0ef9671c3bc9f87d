"""Rotation, and concurrent changes of one key."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import errors, services
from apikeys.forms import GRACE_PERIODS
from apikeys.models import ApiKey
from billing.models import Order
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.concurrency import concurrently
from testing.keys import paid_key, revealed_key

pytestmark = pytest.mark.django_db

URL = "/api/api-keys"
ApiOf = Callable[[User], APIClient]


@pytest.fixture
def key(conversation: Conversation) -> ApiKey:
    """The key of a payment, revealed."""
    return services.reveal(user_id=conversation.user_id, key_id=paid_key(conversation).pk)[0]


@pytest.fixture
def api(key: ApiKey, api_of: ApiOf) -> APIClient:
    return api_of(key.user)


def rotate(api: APIClient, key: ApiKey, **body: Any) -> Any:
    return api.post(f"{URL}/{key.pk}/rotate", body, format="json")


def refund() -> None:
    """The only order is refunded in full."""
    intent = Order.objects.get().stripe_payment_intent_id or ""
    answer = stripe.deliver(stripe.event("refund.created", stripe.refund(intent)))
    assert answer.status_code == 200


def works(secret: str) -> bool:
    return bearer(secret).get("/api/conversations").status_code == 200


def test_the_successor_keeps_name_grant_and_expiry(key: ApiKey, api: APIClient) -> None:
    ends = timezone.now() + timedelta(days=30)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=ends, name="office")
    response = rotate(api, key)
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert works(body["key"])
    successor = ApiKey.objects.get(pk=body["id"])
    assert successor.predecessor == key
    assert (successor.name, successor.grant, successor.expires_at) == ("office", key.grant, ends)
    assert body["tier"] == "premium"


def test_the_key_of_an_order_is_the_one_that_was_issued_also_after_a_rotation(
    key: ApiKey, api: APIClient
) -> None:
    rotate(api, key)
    assert api.get("/api/orders").json()["orders"][0]["apiKeyId"] == key.pk


@pytest.mark.parametrize(
    ("body", "grace"),
    [({}, 86400), ({"graceSeconds": 3600}, 3600), ({"graceSeconds": 604800}, 604800)],
)
def test_the_old_key_works_on_until_its_grace_is_over(
    key: ApiKey, api: APIClient, body: dict[str, int], grace: int
) -> None:
    now = timezone.now()
    assert rotate(api, key, **body).status_code == 201
    key.refresh_from_db()
    assert key.expires_at is not None
    assert abs(key.expires_at - now - timedelta(seconds=grace)) < timedelta(seconds=10)
    assert key.may_authenticate(now + timedelta(seconds=grace - 1))
    assert not key.may_authenticate(now + timedelta(seconds=grace + 10))


def test_without_grace_the_old_key_ends_at_once(key: ApiKey, api: APIClient) -> None:
    old, secret = revealed_key(key.user)
    assert works(secret)
    assert rotate(api, old, graceSeconds=0).status_code == 201
    assert not works(secret)


def test_a_rotation_never_extends_the_old_key(key: ApiKey, api: APIClient) -> None:
    ends = timezone.now() + timedelta(minutes=5)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=ends)
    rotate(api, key, graceSeconds=604800)
    key.refresh_from_db()
    assert key.expires_at == ends
    assert ApiKey.objects.get(predecessor=key).expires_at == ends


@pytest.mark.parametrize("grace", [-1, 604801, "soon", None, 1.5, [], 10**30])
def test_an_impossible_grace_is_refused(key: ApiKey, api: APIClient, grace: Any) -> None:
    assert rotate(api, key, graceSeconds=grace).status_code == 400
    key.refresh_from_db()
    assert key.rotated_at is None


def test_the_page_offers_no_longer_grace_than_the_api() -> None:
    assert max(int(seconds) for seconds, _ in GRACE_PERIODS) <= services.MAX_GRACE.total_seconds()


def test_a_key_is_rotated_once_and_its_successor_again(key: ApiKey, api: APIClient) -> None:
    successor = ApiKey.objects.get(pk=rotate(api, key).json()["id"])
    again = rotate(api, key)
    assert again.status_code == 409
    assert again.json()["code"] == "already_rotated"
    assert rotate(api, successor).status_code == 201
    assert ApiKey.objects.get(predecessor=successor).grant == key.grant


@pytest.mark.parametrize("fact", ["suspended_at", "expires_at"])
def test_a_key_that_does_not_work_gets_no_successor(key: ApiKey, api: APIClient, fact: str) -> None:
    ApiKey.objects.filter(pk=key.pk).update(**{fact: timezone.now()})
    response = rotate(api, key)
    assert response.status_code == 409
    assert response.json()["code"] == "key_not_usable"
    assert ApiKey.objects.count() == 1


def test_a_deleted_key_gets_no_successor(key: ApiKey, api: APIClient) -> None:
    api.delete(f"{URL}/{key.pk}")
    assert rotate(api, key).status_code == 404


def test_a_key_that_was_never_revealed_is_not_revealed_beside_its_successor(
    conversation: Conversation, api_of: ApiOf
) -> None:
    key = paid_key(conversation)
    api = api_of(conversation.user)
    assert rotate(api, key).status_code == 201
    response = api.post(f"{URL}/{key.pk}/reveal")
    assert response.status_code == 409
    assert response.json()["code"] == "already_rotated"


def test_rotation_works_with_all_keys_in_use_but_not_without_end(
    key: ApiKey, api: APIClient
) -> None:
    for _ in range(errors.MAX_LIVE_KEYS - 1):
        revealed_key(key.user)
    current, answers = key, []
    for _ in range(errors.MAX_LIVE_KEYS + 1):
        response = rotate(api, current)
        answers.append(response.status_code)
        current = ApiKey.objects.order_by("-pk")[0]
    assert answers == [201] * errors.MAX_LIVE_KEYS + [409]


def test_at_most_twenty_rotated_keys_may_still_work(key: ApiKey, api: APIClient) -> None:
    current = key
    for _ in range(errors.MAX_ROTATED_KEYS):
        current = ApiKey.objects.get(pk=rotate(api, current).json()["id"])
    refused = rotate(api, current)
    assert refused.status_code == 409
    assert refused.json()["code"] == "too_many_keys"
    assert "successor" in refused.json()["detail"]
    created = [api.post(URL, {"name": "x"}, format="json").status_code for _ in range(20)]
    assert created == [201] * 19 + [409]
    assert ApiKey.objects.live(timezone.now()).count() == errors.MAX_LIVE_KEYS * 2
    assert api.delete(f"{URL}/{key.pk}").status_code == 200
    assert rotate(api, current).status_code == 201


def test_when_the_money_goes_back_the_old_key_ends_with_its_successor(
    key: ApiKey, api: APIClient
) -> None:
    _, secret = revealed_key(key.user, grant=key.grant)
    successor = rotate(api, key).json()
    refund()
    assert not works(secret)
    assert not works(successor["key"])
    assert not ApiKey.objects.not_revoked().exists()


# --- Concurrent changes, on PostgreSQL ------------------------------------------------------------

postgres = pytest.mark.postgres
committed = pytest.mark.django_db(transaction=True)


@postgres
@committed
@pytest.mark.parametrize("round_", range(3))
def test_two_reveals_at_once_show_one_secret(
    conversation: Conversation, api_of: ApiOf, round_: int, deadlocks: Callable[[], list[str]]
) -> None:
    key = paid_key(conversation)
    clients = [api_of(conversation.user) for _ in range(4)]
    answers = concurrently(*[lambda c=c: c.post(f"{URL}/{key.pk}/reveal") for c in clients])
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    (shown,) = [answer.json()["key"] for answer in answers if answer.status_code == 200]
    assert works(shown)
    assert deadlocks() == []


@postgres
@committed
@pytest.mark.parametrize("round_", range(3))
def test_two_rotations_at_once_make_one_successor(
    key: ApiKey, api_of: ApiOf, round_: int, deadlocks: Callable[[], list[str]]
) -> None:
    clients = [api_of(key.user) for _ in range(4)]
    answers = concurrently(*[lambda c=c: rotate(c, key).status_code for c in clients])
    assert sorted(answers) == [201, 409, 409, 409]
    assert ApiKey.objects.get(predecessor=key).grant == key.grant
    assert ApiKey.objects.count() == 2
    assert deadlocks() == []


@postgres
@committed
@pytest.mark.parametrize("interface", ["api", "page"])
def test_of_a_concurrent_reveal_and_delete_one_wins(
    key: ApiKey, api_of: ApiOf, interface: str
) -> None:
    """Both wait for the row, so that neither has come after the other was over."""
    for _ in range(20):
        new = services.issue(user_id=key.user_id, name="new")
        reveal, delete = requests_of(new, interface, api_of)
        revealed, deleted = both_after_a_wait(new, reveal, delete)
        new.refresh_from_db()
        if deleted.status_code == 409:
            assert revealed.status_code == 200
            assert new.revoked_at is None
            assert delete().status_code in (200, 302)
        else:
            assert deleted.status_code in (200, 302)
            assert revealed.status_code == 404
            assert not new.is_revealed


def requests_of(
    key: ApiKey, interface: str, api_of: ApiOf
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """How this key is revealed, and how it is deleted."""
    if interface == "api":
        clients = [api_of(key.user) for _ in range(2)]
        return (
            lambda: clients[0].post(f"{URL}/{key.pk}/reveal"),
            lambda: clients[1].delete(f"{URL}/{key.pk}"),
        )
    browser = Client()
    browser.force_login(key.user)
    return (
        lambda: browser.post(f"/keys/{key.pk}/reveal"),
        lambda: browser.post(f"/keys/{key.pk}/delete"),
    )


def both_after_a_wait(key: ApiKey, *actions: Callable[[], Any]) -> list[Any]:
    """What the actions return that were all waiting for the key's row before one went on."""
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        ApiKey.objects.locked().get(pk=key.pk)
        results = pool.submit(concurrently, *actions)
        deadline = time.monotonic() + 10
        while waiting() < len(actions):
            assert time.monotonic() < deadline, "they do not wait"
            time.sleep(0.005)
    return results.result()


def waiting() -> int:
    """How many connections wait for a lock at this moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("later", [timedelta(microseconds=1), timedelta(seconds=9)])
def test_a_key_revealed_after_the_delete_had_come_is_not_deleted(
    key: ApiKey, later: timedelta
) -> None:
    assert key.revealed_at is not None
    requested_at = key.revealed_at - later
    with pytest.raises(errors.RevealedConcurrently):
        services.delete(user_id=key.user_id, key_id=key.pk, requested_at=requested_at)


@pytest.mark.parametrize("earlier", [timedelta(0), timedelta(days=1), timedelta(seconds=-11)])
def test_a_key_revealed_before_or_by_a_clock_that_is_wrong_is_deleted(
    key: ApiKey, earlier: timedelta
) -> None:
    assert key.revealed_at is not None
    requested_at = key.revealed_at + earlier
    ended = services.delete(user_id=key.user_id, key_id=key.pk, requested_at=requested_at)
    assert ended.revoked_at is not None


@postgres
@committed
@pytest.mark.parametrize("round_", range(5))
def test_no_successor_escapes_when_the_money_goes_back_at_the_same_moment(
    key: ApiKey, api_of: ApiOf, round_: int, deadlocks: Callable[[], list[str]]
) -> None:
    first = ApiKey.objects.get(pk=rotate(api_of(key.user), key).json()["id"])
    clients = [api_of(key.user) for _ in range(2)]
    concurrently(
        lambda: rotate(clients[0], first),
        refund,
        lambda: clients[1].post(URL, {"name": "another"}, format="json"),
    )
    assert not ApiKey.objects.not_revoked().exists()
    assert deadlocks() == []
