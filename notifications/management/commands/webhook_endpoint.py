"""`manage.py webhook_endpoint`: add an endpoint for events, or replace its secret."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from notifications import endpoints
from notifications.models import Endpoint


class Command(BaseCommand):
    help = (
        "Adds an endpoint that gets events from now on, and prints its signing secret, the only "
        "time; or replaces the secret. The admin lists, disables and enables endpoints."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("url", nargs="?", help="where events are sent, by POST")
        what.add_argument(
            "--new-secret",
            type=int,
            metavar="ID",
            help="of this endpoint; its former secret signs too for a day",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["url"] is None:
                secret = endpoints.replace_secret(options["new_secret"])
            else:
                _, secret = endpoints.add(options["url"])
        except (endpoints.RefusedUrl, Endpoint.DoesNotExist) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(secret)
