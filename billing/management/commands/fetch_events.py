"""`manage.py fetch_events`: get from Stripe what it could not deliver."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import fetching, gateway
from billing.progress import Progress


class Command(BaseCommand):
    help = (
        "Asks Stripe for the events that it could not deliver here (it keeps 30 days), the oldest "
        "first, and handles each. Starts where the last run stopped. Exit status 1 when any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from-start", action="store_true", help="all 30 days, wherever the last run stopped"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        complaint = ""
        with Progress("events") as progress:
            try:
                for outcome in fetching.fetch(from_start=options["from_start"]):
                    progress.step(outcome)
            except gateway.StripeFailed as error:
                complaint = f"Stripe failed to {error}; the next run goes on from here"
            except KeyboardInterrupt:
                complaint = "interrupted; the next run goes on from here"
        self.stdout.write(progress.summary())
        if complaint or progress.any_failed:
            raise CommandError(complaint or "some failed: their rows say why")
