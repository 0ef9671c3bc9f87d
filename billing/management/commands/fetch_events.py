"""`manage.py fetch_events`: fetch the events that Stripe could not deliver."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.events import backfill
from billing.management.progress import Progress, summarised
from billing.stripe import client


class Command(BaseCommand):
    help = (
        "Fetches the events that Stripe could not deliver (it keeps 30 days), oldest first, and "
        "handles each. Starts where the last run stopped. Exit status 1 if any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from-start",
            action="store_true",
            help="all 30 days, not from where the last run stopped",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress("events")
        progress.how_to_continue = "the next run continues from here"
        try:
            with summarised(progress, self.stdout):
                for outcome in backfill.fetch(from_start=options["from_start"]):
                    progress.step(outcome)
        except client.StripeFailed as error:
            raise CommandError(f"Stripe failed to {error}; {progress.how_to_continue}") from None
        if progress.any_failed:
            raise CommandError("some failed: see their rows")
