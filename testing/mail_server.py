"""A real mail server on loopback, which can also refuse, hang or be down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pytest_django.fixtures import Settings

from devtools.ports import LOOPBACK, free_port

Answer = Callable[[str], str | None]


@dataclass
class MailServer:
    """What it received. `recipients` may refuse an address, `messages` a message, by an answer."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    recipients: Answer = lambda address: None
    messages: Answer = lambda address: None
    hangs: bool = False
    connections: int = 0

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return answers

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if refusal := self.recipients(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        while self.hangs:
            await asyncio.sleep(0.01)
        if refusal := self.messages(envelope.rcpt_tos[0]):
            return refusal
        content = cast("bytes", envelope.content)
        self.received.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"


@contextmanager
def running(settings: Settings) -> Iterator[MailServer]:
    """A mail server that Django's settings name."""
    with serving() as mail_server:
        settings.MAIL_IS_SENT = True
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = LOOPBACK, mail_server.port
        yield mail_server


@contextmanager
def serving() -> Iterator[MailServer]:
    mail_server = MailServer(free_port())
    controller = Controller(mail_server, hostname=LOOPBACK, port=mail_server.port)
    controller.start()
    try:
        yield mail_server
    finally:
        mail_server.hangs = False
        controller.stop()
