"""What staff write for the owner of a key is on the owner's page, and in a mail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from accounts.models import User
from apikeys.models import Grant
from billing.models import Order
from notifications import mail
from notifications.models import Notification
from support.actions.base import StaffAction
from support.actions.registry import STAFF_ACTIONS
from support.tests.test_actions import confirm, url_of
from testing.keys import issued_key

pytestmark = pytest.mark.django_db

READ_BY_OWNERS = [each for each in STAFF_ACTIONS if each.owner_reads_reason]
BEFORE = {"restore_key": "suspend_key", "resume_grant": "stop_grant"}
REASON = "You asked us <b> on the phone & twice."

Owner = tuple[User, Client]


def keys_page(browser: Client) -> str:
    return browser.get("/keys").content.decode()


def subject_of(action: type[StaffAction[Any]], order: Order) -> Any:
    return order.grant if action.model is Grant else issued_key(order)


@pytest.mark.parametrize("action", READ_BY_OWNERS, ids=lambda action: action.kind)
def test_the_owner_reads_the_reason_on_their_page_and_in_a_mail(
    support: Client, order: Order, owner: Owner, action: type[StaffAction[Any]], stranger: User
) -> None:
    subject = subject_of(action, order)
    if before := BEFORE.get(action.kind):
        confirm(support, subject, before, reason="Seen in public.")
    assert "the owner reads it" in support.get(url_of(subject, action.kind)).content.decode()
    confirm(support, subject, action.kind, reason=REASON)
    assert escape(REASON) in keys_page(owner[1])
    message = mail.compose(Notification.objects.latest("pk"))
    assert message is not None
    assert message.to == [owner[0].email]
    assert REASON in str(message.body)
    other = Client()
    other.force_login(stranger)
    assert escape(REASON) not in keys_page(other)


@pytest.mark.parametrize(
    "action", [each for each in STAFF_ACTIONS if not each.owner_reads_reason], ids=lambda a: a.kind
)
def test_what_is_not_for_the_owner_says_nothing_of_it(action: type[StaffAction[Any]]) -> None:
    assert "as you write it here" not in action.explanation


def test_a_suspension_names_the_key_and_is_gone_with_it(
    support: Client, order: Order, owner: Owner
) -> None:
    key = issued_key(order)
    title = order.conversation.title
    confirm(support, key, "suspend_key", reason="Seen in public.")
    assert f"Support suspended your key “{title}”. Reason: Seen in public." in keys_page(owner[1])
    confirm(support, key, "restore_key", reason="Our mistake.")
    page = keys_page(owner[1])
    assert "Seen in public." not in page
    assert f"Support lifted the suspension of your key “{title}”. Reason: Our mistake." in page
    confirm(support, key, "suspend_key", reason="Again.")
    page = keys_page(owner[1])
    assert "Reason: Again." in page
    assert "Our mistake." not in page
    confirm(support, key, "revoke_key", reason="For good.")
    page = keys_page(owner[1])
    assert "Again." not in page
    assert "Reason: For good." in page


def test_that_keys_work_again_is_shown_for_two_weeks(
    support: Client, order: Order, owner: Owner
) -> None:
    confirm(support, order.grant, "stop_grant", reason="Too many requests.")
    confirm(support, order.grant, "resume_grant", reason="It was a test.")
    assert "work again. Reason: It was a test." in keys_page(owner[1])
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=True):
        owner[1].force_login(owner[0])
        assert "It was a test." not in keys_page(owner[1])
