"""Events out: their order, their deliveries, and addresses that are refused."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from accounts.models import User
from notifications import deliveries, endpoints, events, http_client, outbox
from notifications.models import Delivery, Endpoint, Notification
from testing import webhook_receiver
from testing.concurrency import concurrently
from testing.webhook_receiver import Receiver

pytestmark = [pytest.mark.http, pytest.mark.django_db]

PAID = {"orderId": 7, "amountCents": 2000, "currency": "usd"}


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.EVENTS_TO_PRIVATE_NETWORKS = True
    with webhook_receiver.running() as running:
        yield running


def told(user: User, *causes: str) -> None:
    for cause in causes:
        with transaction.atomic():
            outbox.record("order.completed", cause, user_id=user.pk, data=PAID)


def later(**pause: int) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**pause), tick=True)


def lowered(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


# --- The order ------------------------------------------------------------------------------------


def test_events_are_numbered_once_in_order(stranger: User) -> None:
    told(stranger, "cs_1", "cs_2")
    assert (events.number(), events.number()) == (2, 0)
    told(stranger, "cs_3")
    events.number()
    assert [(row.cause, row.position) for row in events.after(0, 10)] == [
        *(("cs_1", 1), ("cs_2", 2), ("cs_3", 3)),
    ]
    assert [row.cause for row in events.after(1, 1)] == ["cs_2"]


def test_what_is_only_mailed_is_no_event(stranger: User) -> None:
    with transaction.atomic():
        outbox.record("payment.pending", "cs_1", user_id=stranger.pk, data=PAID)
    assert events.number() == 0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_row_that_commits_late_is_not_skipped(stranger: User) -> None:
    written, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            outbox.record("order.completed", "late", user_id=stranger.pk, data=PAID)
            written.set()
            may_commit.wait(20)
        connections.close_all()

    thread = threading.Thread(target=late)
    thread.start()
    written.wait(20)
    told(stranger, "early")
    events.number()
    (early,) = events.after(0, 10)
    may_commit.set()
    thread.join()
    assert early.pk > Notification.objects.get(cause="late").pk
    events.number()
    assert [row.cause for row in events.after(early.position or 0, 10)] == ["late"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_concurrent_processes_number_each_event_once(stranger: User) -> None:
    told(stranger, *(f"cs_{number}" for number in range(30)))
    numbered = concurrently(*[events.number] * 4)
    assert sum(numbered) == 30
    positions = Notification.objects.order_by("pk").values_list("position", flat=True)
    assert list(positions) == list(range(1, 31))


# --- Deliveries -----------------------------------------------------------------------------------


def test_an_event_is_signed_and_sent_once(stranger: User, receiver: Receiver) -> None:
    told(stranger, "before the endpoint")
    events.number()
    _, secret = endpoints.add(receiver.url)
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["delivered"]
    assert list(deliveries.send_due()) == []
    ((headers, body),) = receiver.requests
    event = Webhook(secret).verify(body, headers)
    row = Notification.objects.get(cause="cs_1")
    assert event["id"] == row.public_id == lowered(headers)["webhook-id"]
    assert event["type"] == "order.completed"
    assert event["data"] == {
        **PAID,
        "userId": stranger.pk,
        "userExternalId": None,
        "conversationId": None,
        "conversationExternalId": None,
        "conversationMetadata": {},
    }


def test_two_secrets_sign_while_one_is_replaced(stranger: User, receiver: Receiver) -> None:
    endpoint, old = endpoints.add(receiver.url)
    new = endpoints.replace_secret(endpoint.pk)
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["delivered"]
    ((headers, body),) = receiver.requests
    for secret in (old, new):
        Webhook(secret).verify(body, headers)
    with later(days=2):
        told(stranger, "cs_2")
        assert list(deliveries.send_due()) == ["delivered"]
        headers, body = receiver.requests[-1]
        Webhook(new).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(body, headers)


def test_no_secret_is_stored_in_clear_and_a_new_secret_key_reads_it(
    settings: Settings, receiver: Receiver
) -> None:
    endpoint, secret = endpoints.add(receiver.url)
    assert secret.removeprefix("whsec_") not in str(Endpoint.objects.values().get())
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-of-the-tests-which-is-long"
    assert (endpoints.reencrypt(), endpoints.reencrypt()) == (1, 0)
    settings.SECRET_KEY_FALLBACKS = []
    endpoint.refresh_from_db()
    assert endpoints.secrets_of(endpoint) == [secret]


def test_what_staff_wrote_is_not_told_to_other_systems(stranger: User, receiver: Receiver) -> None:
    endpoints.add(receiver.url)
    with transaction.atomic():
        data = {"keyIds": [1], "reason": "Ada's card was stolen."}
        outbox.record("key.suspended", "key/1", user_id=stranger.pk, data=data)
    assert list(deliveries.send_due()) == ["delivered"]
    assert "Ada" not in receiver.requests[0][1]


def test_a_failure_is_tried_again_and_does_not_stop_the_others(
    stranger: User, receiver: Receiver
) -> None:
    endpoints.add(receiver.url)
    receiver.answer = lambda number: 500 if number == 1 else 200
    told(stranger, "cs_1", "cs_2")
    assert list(deliveries.send_due()) == ["failed", "delivered"]
    assert list(deliveries.send_due()) == []
    with later(seconds=10):
        assert list(deliveries.send_due()) == ["delivered"]
    ids = [json.loads(body)["id"] for _, body in receiver.requests]
    assert ids[0] == ids[2]
    assert len(receiver.accepted) == 2
    assert Endpoint.objects.get().state == "active"


def test_after_three_days_without_success_an_endpoint_is_disabled(
    stranger: User, receiver: Receiver
) -> None:
    endpoint, _ = endpoints.add(receiver.url)
    receiver.answer = lambda number: 503
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["failed"]
    with later(days=2):
        assert list(deliveries.send_due()) == ["failed"]
    with later(days=3, hours=1):
        assert list(deliveries.send_due()) == ["endpoint disabled"]
        assert list(deliveries.send_due()) == []
        endpoint.refresh_from_db()
        assert endpoint.disabled_reason == "It failed for three days, in the end: answered 503"
        told(stranger, "while disabled")
        events.number()
        receiver.answer = lambda number: 200
        assert endpoints.enable(endpoint.pk)
        told(stranger, "since")
        assert list(deliveries.send_due()) == ["delivered"]
    undelivered = Notification.objects.filter(deliveries__delivered_at=None)
    # The route of events has them.
    assert {row.cause for row in undelivered} == {"cs_1", "while disabled"}


def test_410_disables_at_once(stranger: User, receiver: Receiver) -> None:
    endpoints.add(receiver.url)
    receiver.answer = lambda number: 410
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["endpoint disabled"]
    assert Endpoint.objects.get().disabled_reason == "It answered 410 Gone."


def test_a_redirect_is_a_failure_and_not_followed(stranger: User, receiver: Receiver) -> None:
    endpoints.add(receiver.url)
    receiver.answer = lambda number: 307
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["failed"]
    assert len(receiver.requests) == 1
    assert Delivery.objects.get().error == "answered 307"


def test_a_server_that_drips_bytes_is_left(
    stranger: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints.add(receiver.url)
    monkeypatch.setattr(http_client, "TOTAL_TIMEOUT", 0.3)
    receiver.drips = True
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["failed"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_event_once(stranger: User, receiver: Receiver) -> None:
    endpoints.add(receiver.url)
    told(stranger, *(f"cs_{number}" for number in range(12)))
    events.number()
    concurrently(*[lambda: list(deliveries.send_due())] * 3)
    ids = [event["id"] for event in receiver.accepted]
    assert len(ids) == len(set(ids)) == 12


def test_what_was_delivered_long_ago_is_deleted_and_its_event_kept(
    stranger: User, receiver: Receiver
) -> None:
    endpoints.add(receiver.url)
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["delivered"]
    month = timedelta(days=deliveries.KEEP_DELIVERED_DAYS)
    assert deliveries.prune(older_than=month) == 0
    with later(days=31):
        assert deliveries.prune(older_than=month) == 1
    assert Notification.objects.filter(cause="cs_1").exists()


# --- Addresses ------------------------------------------------------------------------------------

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fec0::1"),  # noqa: S104
    *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1", "ff02::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_no_public_one(address: str) -> None:
    assert not http_client.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert http_client.is_public(ipaddress.ip_address(address))


def resolving(*answers: list[str]) -> Callable[..., Any]:
    """A resolver that gives one answer after the other."""
    remaining = list(answers)

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = remaining.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    return getaddrinfo


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["1.1.1.1", "127.0.0.1"]])
def test_a_name_with_a_private_address_is_refused(
    stranger: User, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    endpoints.add("https://hooks.example.com/")
    monkeypatch.setattr(socket, "getaddrinfo", resolving(addresses))
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["failed"]
    assert Delivery.objects.get().error == "It is in a private network."


def test_the_address_that_was_checked_is_connected_to(
    stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = []

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    endpoints.add("https://hooks.example.com/")
    monkeypatch.setattr(socket, "getaddrinfo", resolving(["1.1.1.1"], ["127.0.0.1"]))
    monkeypatch.setattr(socket, "create_connection", create_connection)
    told(stranger, "cs_1")
    assert list(deliveries.send_due()) == ["failed"]
    assert connected == [("1.1.1.1", 443)]


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.com/", "ftp://hooks.example.com/", "hooks.example.com", "https://"),
        *("https://user:secret@hooks.example.com/", "https://h/#part", "https://h:port/"),
        *("https://h/ü", "https://h/a b", "https://h/\r\nX: y", "https://[::1", "javascript:1"),
        "https://h/" + "x" * 500,
    ],
)
def test_a_url_that_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(endpoints.RefusedUrl):
        endpoints.add(url)


def test_the_command_adds_an_endpoint_and_replaces_its_secret() -> None:
    out = StringIO()
    call_command("webhook_endpoint", "https://hooks.example.com/events", stdout=out)
    endpoint = Endpoint.objects.get()
    call_command("webhook_endpoint", "--new-secret", str(endpoint.pk), stdout=out)
    first, second = out.getvalue().split()
    endpoint.refresh_from_db()
    assert endpoints.secrets_of(endpoint) == [second, first]
    with pytest.raises(CommandError, match="https"):
        call_command("webhook_endpoint", "http://hooks.example.com/")
    with pytest.raises(CommandError):
        call_command("webhook_endpoint", "--new-secret", "999")
