"""`manage.py export_user EMAIL`: print everything that is stored about a person, as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from payflow import personal_data


class Command(BaseCommand):
    help = "Prints what is stored about the person with this email address, as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(options["email"])
        except User.DoesNotExist:
            raise CommandError("No user has this email address.") from None
        text = json.dumps(personal_data.export(user), indent=2, ensure_ascii=False, default=str)
        self.stdout.write(text)
