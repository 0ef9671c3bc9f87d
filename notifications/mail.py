"""Send the mail of the outbox.

A row is leased, sent without a lock, and then marked. If the process dies in between, the mail is
sent again after the lease, with the same Message-ID.
"""

from __future__ import annotations

import logging
import smtplib
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone, translation

from notifications.kinds import KINDS
from notifications.models import MailStatus, Notification, NotificationQuerySet

logger = logging.getLogger(__name__)

# Longer than a message takes to be sent, with EMAIL_TIMEOUT for each step.
LEASE = timedelta(minutes=5)
# A message that is not accepted is tried again after 1, 2, 4 … minutes, at most an hour.
MIN_PAUSE, MAX_PAUSE = timedelta(minutes=1), timedelta(hours=1)
MAX_ATTEMPTS = 174  # a week
# One round ends after so long: the worker has other jobs.
MAX_SECONDS = 30.0
MAX_ERROR_LENGTH = 500


class _ServerFailed(Exception):
    """The mail server does not work; the next message would fail too."""


def send_due() -> Iterator[str]:
    """Send what is due, oldest first; yield what became of each message.

    While the server is down, messages wait as they are. What fails for one message does not stop
    the others.
    """
    if not settings.MAIL_IS_SENT or not _due().exists():
        return
    ends_at = time.monotonic() + MAX_SECONDS
    server = get_connection()
    try:
        server.open()
        while time.monotonic() < ends_at and (notification := _lease()) is not None:
            yield _send(notification, server)
    except (_ServerFailed, smtplib.SMTPException, OSError) as error:
        logger.warning("The mail server does not work: %r", error.__cause__ or error)
        yield "without a mail server"
    finally:
        _close(server)


def resend(notification_id: int) -> bool:
    """Send a mail once more, for staff. False if it waits to be sent, or never had a mail."""
    settled = Notification.objects.filter(pk=notification_id)
    settled = settled.exclude(mail_status__in=(MailStatus.WAITING, MailStatus.NONE))
    updated = settled.update(
        mail_status=MailStatus.WAITING,
        mail_due_at=timezone.now(),
        mail_attempts=0,
        mail_resends=F("mail_resends") + 1,
    )
    return updated > 0


def message_id(notification: Notification) -> str:
    """The same for each attempt. One that staff sent again is another message."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    resend = f".{notification.mail_resends}" if notification.mail_resends else ""
    return f"<{notification.public_id}{resend}@{domain}>"


def _due() -> NotificationQuerySet:
    return Notification.objects.waiting().filter(mail_due_at__lte=timezone.now())


def _lease() -> Notification | None:
    """The message that has been due for longest, reserved for this process."""
    with transaction.atomic():
        found = _due().order_by("mail_due_at", "pk").locked(skip_locked=True).first()
        if found is not None:
            found.mail_due_at = timezone.now() + LEASE
            found.mail_attempts += 1
            found.save(update_fields=["mail_due_at", "mail_attempts"])
        return found


def _send(notification: Notification, server: BaseEmailBackend) -> str:
    """Send one message and mark its row. Raises _ServerFailed, after it was marked."""
    try:
        message = compose(notification)
        if message is None:
            return _mark(notification, MailStatus.SKIPPED)
        message.connection = server
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return _refused(notification, code, text)
    except smtplib.SMTPDataError as error:
        return _refused(notification, error.smtp_code, error.smtp_error)
    except (smtplib.SMTPException, OSError) as error:
        _retry(notification, error)
        raise _ServerFailed from error
    except Exception as error:
        logger.exception("The mail of %s could not be made", notification)
        return _retry(notification, error)
    return _mark(notification, MailStatus.SENT)


def compose(notification: Notification) -> EmailMultiAlternatives | None:
    """The message in its user's language; None if it is no longer needed."""
    kind = KINDS[notification.kind]
    user = get_user_model()._default_manager.filter(pk=notification.user_id).first()
    if user is None or getattr(user, "erased_at", None):
        return None
    with translation.override(getattr(user, "language", "") or settings.LANGUAGE_CODE):
        given = kind.context(notification)
        if given is None:
            return None
        context = {"link": kind.link, "link_label": kind.link_label, **given}
        if context["link"].startswith("/"):
            context["link"] = settings.FRONTEND_URL + context["link"]
        context["subject"] = str(kind.subject) % context
        # `strip` makes it a plain text, which the page of HTML escapes.
        context["body"] = render_to_string(kind.template, context).strip()
        context["site_name"] = settings.SITE_NAME
        context["support_address"] = settings.SUPPORT_ADDRESS
        message = EmailMultiAlternatives(
            subject=context["subject"],
            body=render_to_string("notifications/mail.txt", context).strip() + "\n",
            to=[context.get("to") or user.get_username()],
            headers={"Message-ID": message_id(notification), "Auto-Submitted": "auto-generated"},
        )
        message.attach_alternative(
            render_to_string("notifications/mail.html", context), "text/html"
        )
    return message


def _refused(notification: Notification, code: int, text: bytes | str) -> str:
    """5xx is for good: the message bounced."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    reason = f"{code} {shown}"
    if 500 <= code < 600:
        return _mark(notification, MailStatus.BOUNCED, reason)
    return _retry(notification, reason)


def _retry(notification: Notification, error: object) -> str:
    now = timezone.now()
    reason = error if isinstance(error, str) else repr(error)
    if notification.mail_attempts >= MAX_ATTEMPTS:
        return _mark(notification, MailStatus.FAILED, reason)
    pause = min(MIN_PAUSE * 2 ** min(notification.mail_attempts - 1, 10), MAX_PAUSE)
    leased = Notification.objects.waiting().filter(pk=notification.pk)
    leased.update(mail_due_at=now + pause, mail_error=reason[:MAX_ERROR_LENGTH])
    return "postponed"


def _mark(notification: Notification, status: MailStatus, reason: str = "") -> str:
    Notification.objects.filter(pk=notification.pk).update(
        mail_status=status,
        mail_due_at=None,
        mail_error=reason[:MAX_ERROR_LENGTH],
        mailed_at=timezone.now() if status == MailStatus.SENT else None,
    )
    return str(status.value)


def _close(server: BaseEmailBackend) -> None:
    try:
        server.close()
    except (smtplib.SMTPException, OSError):
        logger.debug("The connection to the mail server was closed already")
