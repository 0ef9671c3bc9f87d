"""Mail of the outbox, sent to a real server that also refuses, hangs and is down."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from django.db import connections, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from notifications import kinds, mail, outbox
from notifications.kinds import Context
from notifications.models import MailStatus, Notification
from testing.concurrency import concurrently
from testing.factories import UserFactory
from testing.keys import revealed_key
from testing.mail_server import MailServer, running

pytestmark = [pytest.mark.http, pytest.mark.django_db]

PAID = {"orderId": 7, "amountCents": 2000, "currency": "usd"}


def told(user: User, cause: str = "cs_1", kind: str = "order.completed") -> Notification:
    """A row of the outbox, written as a cause writes it."""
    with transaction.atomic():
        outbox.record(kind, cause, user_id=user.pk, data=PAID)
    return Notification.objects.get(cause=cause, kind=kind)


def later(**pause: int) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**pause), tick=True)


def test_a_message_has_text_html_and_an_id_of_its_cause(stranger: User, server: MailServer) -> None:
    row = told(stranger)
    assert list(mail.send_due()) == ["sent"]
    (message,) = server.received
    assert message["To"] == stranger.email
    assert message["From"] == "payflow@example.com"
    assert message["Subject"] == "Payment received (order 7): your API key is ready"
    assert message["Message-ID"] == f"<{row.public_id}@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = (part.get_content() for part in message.iter_parts())
    for content in (text, html):
        assert "20.00 USD" in content
        assert "http://testserver/keys" in content
    assert "<p>We received your payment" in html
    assert "{" not in text
    row.refresh_from_db()
    assert (row.mail_status, row.mail_due_at, row.mail_attempts) == (MailStatus.SENT, None, 1)
    assert row.mailed_at is not None
    assert list(mail.send_due()) == []


def test_one_cause_has_one_row_and_one_mail(stranger: User, server: MailServer) -> None:
    for _ in range(3):
        told(stranger)
    assert list(mail.send_due()) == ["sent"]
    assert len(server.received) == 1


def test_what_is_rolled_back_is_not_told(stranger: User) -> None:
    with transaction.atomic():
        outbox.record("order.completed", "cs_1", user_id=stranger.pk, data=PAID)
        transaction.set_rollback(True)
    assert not Notification.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_row_is_only_written_in_the_transaction_of_its_cause(stranger: User) -> None:
    with pytest.raises(outbox.NotInTransaction):
        outbox.record("order.completed", "cs_1", user_id=stranger.pk)


def test_an_unknown_kind_is_refused(stranger: User) -> None:
    with pytest.raises(KeyError):
        outbox.record("order.eaten", "cs_1", user_id=stranger.pk)


def test_without_a_server_mail_is_kept(stranger: User) -> None:
    row = told(stranger)
    assert list(mail.send_due()) == []
    row.refresh_from_db()
    assert (row.mail_status, row.mail_attempts) == (MailStatus.WAITING, 0)


def test_a_day_without_the_server_loses_nothing(stranger: User, settings: Settings) -> None:
    with running(settings):
        pass  # its port refuses connections now
    rows = [told(stranger, f"cs_{number}") for number in range(3)]
    for hour in range(0, 25, 6):
        with later(hours=hour):
            assert list(mail.send_due()) == ["without a mail server"]
    with later(hours=25), running(settings) as server:
        assert list(mail.send_due()) == ["sent"] * 3
    assert [m["Message-ID"] for m in server.received] == [mail.message_id(row) for row in rows]


def test_a_server_that_hangs_ends_the_round(
    stranger: User, server: MailServer, settings: Settings
) -> None:
    settings.EMAIL_TIMEOUT = 1
    first, second = told(stranger, "cs_1"), told(stranger, "cs_2")
    server.hangs = True
    assert list(mail.send_due()) == ["without a mail server"]
    for row in (first, second):
        row.refresh_from_db()
    assert (first.mail_attempts, second.mail_attempts) == (1, 0)
    assert "timed out" in first.mail_error
    server.hangs = False
    settings.EMAIL_TIMEOUT = 30
    with later(minutes=2):
        assert list(mail.send_due()) == ["sent"] * 2


def test_a_refused_recipient_bounces_and_the_others_get_their_mail(server: MailServer) -> None:
    gone, known = UserFactory.create(email="gone@example.com"), UserFactory.create()
    row = told(gone, "cs_1")
    told(known, "cs_2")
    server.recipients = lambda address: "550 5.1.1 no such user" if "gone" in address else None
    assert list(mail.send_due()) == ["bounced", "sent"]
    row.refresh_from_db()
    assert (row.mail_status, row.mail_error) == (MailStatus.BOUNCED, "550 5.1.1 no such user")
    with later(days=1):
        assert list(mail.send_due()) == []


def test_a_refused_message_bounces(stranger: User, server: MailServer) -> None:
    told(stranger)
    server.messages = lambda address: "554 we do not like it"
    assert list(mail.send_due()) == ["bounced"]


def test_a_message_that_is_refused_for_now_is_sent_later(
    stranger: User, server: MailServer
) -> None:
    row = told(stranger)
    server.recipients = lambda address: "451 greylisted"
    assert list(mail.send_due()) == ["postponed"]
    assert list(mail.send_due()) == []
    with later(minutes=2):
        assert list(mail.send_due()) == ["postponed"]
    row.refresh_from_db()
    assert (row.mail_status, row.mail_error) == (MailStatus.WAITING, "451 greylisted")
    server.recipients = lambda address: None
    with later(minutes=10):
        assert list(mail.send_due()) == ["sent"]


def test_after_a_week_it_is_given_up(stranger: User, server: MailServer) -> None:
    row = told(stranger)
    Notification.objects.update(mail_attempts=mail.MAX_ATTEMPTS - 1)
    server.recipients = lambda address: "451 greylisted"
    assert list(mail.send_due()) == ["failed"]
    row.refresh_from_db()
    assert row.mail_status == MailStatus.FAILED


def test_a_message_that_cannot_be_made_does_not_stop_the_others(
    stranger: User, server: MailServer
) -> None:
    broken = told(stranger, "cs_1")
    Notification.objects.filter(pk=broken.pk).update(data={"amountCents": "many"})
    told(stranger, "cs_2")
    assert list(mail.send_due()) == ["postponed", "sent"]


def test_what_must_not_be_stored_is_made_when_the_mail_is_sent(
    stranger: User, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Context | None] = {
        "no longer needed": None,
        "cs_2": {"to": "new@example.com", "link": "/confirm/token", "link_label": "Confirm"},
    }
    kind = replace(kinds.KINDS["key.waiting"], context=lambda row: made[row.cause])
    monkeypatch.setitem(kinds.KINDS, "key.waiting", kind)
    for cause in made:
        told(stranger, cause, "key.waiting")
    assert list(mail.send_due()) == ["skipped", "sent"]
    (message,) = server.received
    assert message["To"] == "new@example.com"
    lines = next(message.iter_parts()).get_content().splitlines()
    assert lines[lines.index("Confirm:") + 1] == "http://testserver/confirm/token"
    assert Notification.objects.get(cause="cs_2").data == PAID


def test_a_text_of_a_person_is_no_markup_and_no_header(stranger: User, server: MailServer) -> None:
    key, _ = revealed_key(stranger, name="<b>mine</b>")
    with transaction.atomic():
        reason = '<a href="https://evil">x</a>\r\nBcc: all@example.com'
        data = {"keyIds": [key.pk], "reason": reason}
        outbox.record("key.suspended", "key/1", user_id=stranger.pk, data=data)
    assert list(mail.send_due()) == ["sent"]
    (message,) = server.received
    text, html = (part.get_content() for part in message.iter_parts())
    assert "https://evil" in text
    assert '<a href="https://evil' not in html
    assert "“<b>mine</b>”" in text
    assert "“&lt;b&gt;mine&lt;/b&gt;”" in html
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    ("language", "greeting", "subject"),
    [
        ("de", "Guten Tag,", "Zahlung erhalten (Bestellung 7): Ihr API-Schlüssel ist bereit"),
        ("", "Hello,", "Payment received (order 7): your API key is ready"),
    ],
)
def test_a_mail_speaks_its_users_language(
    stranger: User, server: MailServer, language: str, greeting: str, subject: str
) -> None:
    User.objects.filter(pk=stranger.pk).update(language=language)
    told(stranger)
    assert list(mail.send_due()) == ["sent"]
    (message,) = server.received
    text, html = (part.get_content() for part in message.iter_parts())
    assert message["Subject"].strip() == subject  # a folded header begins with a space
    assert greeting in text
    assert f'<html lang="{language or "en"}">' in html


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_message_once(stranger: User, server: MailServer) -> None:
    rows = [told(stranger, f"cs_{number}") for number in range(20)]
    concurrently(*[lambda: list(mail.send_due())] * 3)
    sent = sorted(message["Message-ID"] for message in server.received)
    assert sent == sorted(mail.message_id(row) for row in rows)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_row_is_locked_while_the_server_is_waited_for(
    stranger: User, server: MailServer
) -> None:
    row = told(stranger)
    server.hangs = True

    def send() -> None:
        list(mail.send_due())
        connections.close_all()

    sending = threading.Thread(target=send)
    sending.start()
    while not Notification.objects.filter(mail_attempts=1).exists():
        assert sending.is_alive()
    with transaction.atomic():
        Notification.objects.select_for_update(nowait=True).get(pk=row.pk)
    server.hangs = False
    sending.join()
    assert len(server.received) == 1


def test_a_process_that_died_is_repeated_with_the_same_id(
    stranger: User, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(stranger)

    def die(*args: object) -> str:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(mail, "_mark", die)
        with pytest.raises(SystemExit):
            list(mail.send_due())
    assert list(mail.send_due()) == []
    with later(minutes=6):
        assert list(mail.send_due()) == ["sent"]
    first, second = server.received
    assert first["Message-ID"] == second["Message-ID"]
