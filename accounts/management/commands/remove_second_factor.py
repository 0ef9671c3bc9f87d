"""`manage.py remove_second_factor EMAIL`: for who has lost the device and the recovery codes."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User


class Command(BaseCommand):
    help = "Removes the second factor and the recovery codes of the user with this address."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(options["email"])
        except User.DoesNotExist:
            raise CommandError("No user has this email address.") from None
        Authenticator.objects.filter(user=user).delete()
        self.stdout.write(f"User {user.pk} has no second factor.")
