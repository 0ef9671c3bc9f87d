"""`manage.py issue_token EMAIL`: print an access token for a user, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.tokens import NoSubject, issue_access


class Command(BaseCommand):
    help = "Prints a JSON Web Token that authenticates as the user with this email address."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--hours", type=float, default=24.0, help="hours until it expires (24)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(options["email"])
        except User.DoesNotExist:
            raise CommandError(f"There is no user {options['email']}.") from None
        if not user.is_active:
            raise CommandError(f"{user.email} is not active, so a token would not be accepted.")
        try:
            self.stdout.write(issue_access(user, timedelta(hours=options["hours"])))
        except NoSubject as error:
            raise CommandError(error.detail) from None
