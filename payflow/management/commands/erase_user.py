"""`manage.py erase_user EMAIL`: remove a person's data; orders, sums and grants stay."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.models import User
from payflow import personal_data


class Command(BaseCommand):
    help = (
        "Erases the person with this email address: closes the account, revokes its keys, and "
        "removes name, email address, postal address and phone number from every row, the stored "
        "events and the audit log. Orders, sums and grants stay, and events can be replayed. May "
        "be repeated; after an interruption it must be."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Neither output nor log holds the address."""
        try:
            user = User.objects.get_by_natural_key(options["email"])
        except User.DoesNotExist:
            self.stdout.write("No user has this email address: nothing to erase.")
            return
        events = personal_data.erase(user)
        self.stdout.write(f"User {user.pk} is erased, with the data in {events:,} events.")
