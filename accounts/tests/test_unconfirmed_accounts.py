"""Accounts whose address nobody confirmed: deleted after a time, and what happens until then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts import confirmation
from accounts.models import User
from conversations.models import Conversation
from notifications.models import Notification
from testing.concurrency import concurrently
from testing.factories import PASSWORD, UserFactory
from testing.own_account import (
    EMAIL,
    OTHER_PASSWORD,
    ask_for_account,
    delivered,
    is_signed_in,
    link_in,
    reset,
    sign_in,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sign_up")]


def pruned_after(days: float) -> int:
    """How many accounts the daily command deletes so many days later."""
    out, before = StringIO(), User.objects.count()
    with time_machine.travel(timezone.now() + timedelta(days=days), tick=True):
        call_command("prune_personal_data", stdout=out)
    deleted = before - User.objects.count()
    assert f", {deleted} unconfirmed accounts deleted, " in out.getvalue()
    return deleted


def test_an_account_that_nobody_confirms_is_deleted_after_a_week() -> None:
    ask_for_account()
    delivered()
    assert pruned_after(6.9) == 0
    assert pruned_after(7.1) == 1
    assert not EmailAddress.objects.exists()
    assert EMAIL not in str(list(Notification.objects.values()))
    assert not is_signed_in(sign_in(EMAIL))


def test_a_link_that_was_sent_lately_keeps_the_account() -> None:
    ask_for_account()
    with time_machine.travel(timezone.now() + timedelta(days=5), tick=True):
        cache.clear()
        sign_in(EMAIL)  # sends the link again
    rows = Notification.objects.order_by("pk")
    rows.filter(pk=rows.last().pk).update(created_at=timezone.now() + timedelta(days=5))  # type: ignore[union-attr]
    assert rows.count() == 2
    assert pruned_after(8) == 0
    assert pruned_after(12.1) == 1


def confirmed() -> None:
    ask_for_account()
    (message,) = delivered()
    assert Client().post(link_in(message)).status_code == 302


def taken_by_a_reset() -> None:
    ask_for_account()
    delivered()
    reset(EMAIL)


def made_by_sql() -> None:
    UserFactory.create(email=EMAIL)


def changing_the_address() -> None:
    user = UserFactory.create(email="old@example.com", password=PASSWORD)
    form = {"email": EMAIL, "password": PASSWORD}
    sign_in(user.email).post("/account/address/", form)
    User.objects.update(last_login=None)


def unconfirmed(**columns: Any) -> Callable[[], None]:
    def make() -> None:
        ask_for_account()
        User.objects.update(**columns)

    return make


def with_a_conversation() -> None:
    ask_for_account()
    Conversation.objects.create(user=User.objects.get(), title="made by SQL")


KEPT: dict[str, Callable[[], None]] = {
    "confirmed": confirmed,
    "taken by a reset": taken_by_a_reset,
    "made by SQL": made_by_sql,
    "whose owner changes the address": changing_the_address,
    "closed by staff": unconfirmed(is_active=False),
    "of the staff": unconfirmed(is_staff=True),
    "of another backend": unconfirmed(external_id="u1"),
    "with a conversation": with_a_conversation,
}


@pytest.mark.parametrize("name", KEPT)
def test_every_other_account_is_kept(name: str) -> None:
    KEPT[name]()
    User.objects.update(date_joined=timezone.now() - timedelta(days=90))
    assert pruned_after(90) == 0
    assert User.objects.count() == 1


def test_who_signs_up_with_an_address_that_waits_gets_it_by_a_new_password() -> None:
    """Confirming would keep the password of whoever was first, who may be a stranger."""
    first = ask_for_account(EMAIL, PASSWORD)
    delivered()
    cache.clear()  # three minutes later
    second = ask_for_account(EMAIL, OTHER_PASSWORD)
    assert first == second
    (message,) = delivered()
    assert message.to == [EMAIL]
    assert message.subject == "You have an account already"
    assert "/accounts/password_reset/" in link_in(message)
    assert not is_signed_in(sign_in(EMAIL, OTHER_PASSWORD))
    assert not is_signed_in(sign_in(EMAIL, PASSWORD))
    reset(EMAIL, OTHER_PASSWORD)
    assert is_signed_in(sign_in(EMAIL, OTHER_PASSWORD))
    assert not is_signed_in(sign_in(EMAIL, PASSWORD))
    assert User.objects.count() == 1


def test_a_deleted_accounts_address_is_free_and_its_link_confirms_nothing() -> None:
    ask_for_account(EMAIL, PASSWORD)
    (old,) = delivered()
    assert pruned_after(8) == 1
    cache.clear()
    ask_for_account(EMAIL, OTHER_PASSWORD)
    (new,) = delivered()
    assert "This link is over" in Client().get(link_in(old)).content.decode()
    Client().post(link_in(old))
    assert not is_signed_in(sign_in(EMAIL, OTHER_PASSWORD))
    assert Client().post(link_in(new)).status_code == 302
    assert is_signed_in(sign_in(EMAIL, OTHER_PASSWORD))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(4))
def test_who_confirms_while_the_account_is_deleted_has_an_account_or_is_told(round_: int) -> None:
    ask_for_account()
    (message,) = delivered()
    status, deleted = concurrently(
        lambda: Client().post(link_in(message)).status_code,
        lambda: confirmation.delete_abandoned(older_than=timedelta(0)),
    )
    exists = User.objects.filter(email=EMAIL).exists()
    assert exists is (deleted == 0)
    if exists:
        assert (status, is_signed_in(sign_in(EMAIL))) == (302, True)
    else:
        assert status in (404, 409, 410)
