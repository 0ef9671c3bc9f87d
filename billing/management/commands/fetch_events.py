"""`manage.py fetch_events`: get from Stripe what it could not deliver."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.events import backfill
from billing.management.interruption import summarised
from billing.management.progress import Progress
from billing.stripe import client


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
        progress = Progress("events")
        progress.to_go_on = "the next run goes on from here"
        try:
            with summarised(progress, self.stdout):
                for outcome in backfill.fetch(from_start=options["from_start"]):
                    progress.step(outcome)
        except client.StripeFailed as error:
            raise CommandError(f"Stripe failed to {error}; {progress.to_go_on}") from None
        if progress.any_failed:
            raise CommandError("some failed: their rows say why")
