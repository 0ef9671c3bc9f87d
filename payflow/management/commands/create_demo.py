"""`manage.py create_demo`: create a demo user and a conversation to pay for, once."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.tokens import issue_access
from conversations.models import Conversation, PaymentStatus
from support import roles

EMAIL = "demo@example.com"
PASSWORD = "pay-with-4242"  # noqa: S105 - printed by `make run`, refused without DEBUG


class Command(BaseCommand):
    help = "Creates the demo user, and a conversation unless one is payable. Needs DEBUG."
    requires_system_checks: list[str] = []  # noqa: RUF012 - as in Django; the servers run them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--migrate", action="store_true", help="migrate the database first")
        parser.add_argument("--json", action="store_true", help="print what a program reads")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("A user with a published password is made only while DEBUG is on.")
        if options["migrate"]:
            call_command("migrate", verbosity=0, skip_checks=False)
        user = User.objects.filter(email=EMAIL).first()
        if user is None:
            user = User.objects.create_superuser(EMAIL, PASSWORD, name="Demo User")
        roles.create_roles()
        conversation = _payable_conversation(user)
        if options["json"]:
            demo = {"email": EMAIL, "password": PASSWORD, "conversationId": conversation.pk}
            self.stdout.write(json.dumps({**demo, "token": issue_access(user)}))
        else:
            self.stdout.write(f"Sign in as {EMAIL} with password {PASSWORD}.")


def _payable_conversation(user: User) -> Conversation:
    own = Conversation.objects.owned_by(user.pk)
    payable = own.exclude(payment_status=PaymentStatus.PAID).order_by("id").first()
    return payable or Conversation.objects.create(user=user, title="My first conversation")
