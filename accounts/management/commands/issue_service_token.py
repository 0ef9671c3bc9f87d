"""`manage.py issue_service_token NAME`: print a new service token, the only time."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import service_tokens


class Command(BaseCommand):
    help = "Prints a new token for /api/service/, the only time; the admin lists and revokes them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the admin and the access log call it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(service_tokens.issue(options["name"]))
        except service_tokens.NameRefused as error:
            raise CommandError(str(error)) from None
