"""What owners and staff do to keys is told, once, and a key that ends is announced."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from apikeys import expiry, services
from apikeys.models import ApiKey
from conversations.models import Conversation
from notifications import mail
from notifications.models import MailStatus, Notification
from testing.keys import paid_key, revealed_key

pytestmark = pytest.mark.django_db


def told(kind: str) -> list[dict[str, Any]]:
    return [row.data for row in Notification.objects.filter(kind=kind).order_by("pk")]


def text_of(kind: str) -> str:
    message = mail.compose(Notification.objects.filter(kind=kind).latest("pk"))
    assert message is not None
    assert "sk_" not in str(message.message())
    return str(message.body)


def mailed() -> list[str]:
    waiting = Notification.objects.filter(mail_status=MailStatus.WAITING)
    return sorted(waiting.exclude(kind="order.completed").values_list("kind", flat=True))


def test_what_an_owner_does_is_told_and_a_rotation_is_mailed(conversation: Conversation) -> None:
    user_id, key = conversation.user_id, paid_key(conversation)
    for _ in range(2):  # the second is a repeat of the same form
        services.reveal(user_id=user_id, key_id=key.pk, token="t" * 20)
    for _ in range(2):
        made, _ = services.create(user_id=user_id, name="CI", expires_at=None, token="c" * 20)
    for _ in range(2):
        successor, _ = services.rotate(user_id=user_id, key_id=made.pk, token="r" * 20)
    services.delete(
        user_id=user_id, key_id=key.pk, requested_at=timezone.now() + timedelta(minutes=1)
    )
    assert told("key.revealed") == [{"keyIds": [key.pk], "by": "owner"}]
    assert told("key.issued")[1:] == [{"keyIds": [made.pk], "by": "owner"}]
    (rotated,) = told("key.rotated")
    assert (rotated["keyIds"], rotated["replacedKeyIds"]) == ([successor.pk], [made.pk])
    assert told("key.revoked") == [{"keyIds": [key.pk], "by": "owner"}]
    assert mailed() == ["key.rotated"]
    assert "Your API key “CI” was replaced by a new one. The old one works until" in text_of(
        "key.rotated"
    )


def test_what_staff_do_is_mailed_with_the_reason(stranger: User) -> None:
    key, _ = revealed_key(stranger, name="Mine")
    for _ in range(2):
        assert services.suspend(key.pk, reason="Seen in public.")
        assert services.restore(key.pk)
    assert services.revoke(key.pk, reason="Stolen.")
    assert mailed() == [*["key.restored"] * 2, "key.revoked", *["key.suspended"] * 2]
    assert "Our support suspended your API key “Mine”." in text_of("key.suspended")
    assert "The reason: Seen in public." in text_of("key.suspended")
    assert "It works again." in text_of("key.restored")
    assert "The reason: Stolen." in text_of("key.revoked")
    assert "You can create another key" in text_of("key.revoked")


def test_a_stopped_grant_is_one_mail_about_all_its_keys(stranger: User) -> None:
    first, _ = revealed_key(stranger, name="One")
    second, _ = revealed_key(stranger, name="Two", grant=first.grant)
    assert services.stop_grant(first.grant_id, reason="Abuse.")
    assert told("key.suspended") == [
        {"keyIds": [first.pk, second.pk], "by": "staff", "reason": "Abuse."}
    ]
    assert "Our support suspended your API keys “One”, “Two”. They do not" in text_of(
        "key.suspended"
    )
    assert services.resume_grant(first.grant_id)
    assert told("key.restored")[0]["keyIds"] == [first.pk, second.pk]


def at(moment: datetime) -> time_machine.travel:
    return time_machine.travel(moment, tick=True)


def test_a_key_that_ends_is_announced_thrice_and_each_time_once(stranger: User) -> None:
    made_at = timezone.now()
    ends_at = made_at + timedelta(days=90)
    key, _ = revealed_key(stranger, name="CI", expires_at=ends_at)
    days_left = []
    for day in range(91):
        with at(made_at + timedelta(days=day, hours=1)):
            days_left += [90 - day for _ in expiry.remind()]
            assert list(expiry.remind()) == []
    assert days_left == [30, 7, 1]
    assert [data["days"] for data in told("key.expiring")] == [30, 7, 1]
    assert all(data["keyIds"] == [key.pk] for data in told("key.expiring"))
    assert "Your API key “CI” ends in 1 day, at " in text_of("key.expiring")


@pytest.mark.parametrize(
    "columns",
    [
        {"rotated_at": timezone.now()},
        {"revoked_at": timezone.now()},
        {"user__is_active": False},
        {"created_at": timezone.now() + timedelta(days=26)},
    ],
    ids=["rotated", "revoked", "of a closed account", "made for a few days"],
)
def test_a_key_that_nobody_counts_on_is_not_announced(
    stranger: User, columns: dict[str, Any]
) -> None:
    key, _ = revealed_key(stranger, expires_at=timezone.now() + timedelta(days=33))
    if columns.pop("user__is_active", True) is False:
        User.objects.update(is_active=False)
    if columns:
        ApiKey.objects.filter(pk=key.pk).update(**columns)
    with at(timezone.now() + timedelta(days=26, hours=1)):
        assert list(expiry.remind()) == []
