"""`manage.py recover_payments --since TIME`: after a restore, bring back what Stripe still has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import recovery
from billing.management.progress import Progress, summarised
from billing.stripe import client


class Command(BaseCommand):
    help = (
        "Reads from Stripe every event since this time, delivered ones too, and the Checkout "
        "Sessions that may have been paid since, and applies what is missing here. Lists users and "
        "conversations that a payment names and that do not exist. Exit status 1 if any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=_time,
            required=True,
            metavar="TIME",
            help="when the backup was begun, in UTC: 2026-11-26T09:00",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress("events and sessions")
        references: set[tuple[int, int]] = set()
        try:
            with summarised(progress, self.stdout):
                for step in recovery.recover(options["since"]):
                    progress.step(step.outcome)
                    if step.reference is not None:
                        references.add((step.reference.user_id, step.reference.conversation_id))
        except client.StripeFailed as error:
            raise CommandError(f"Stripe failed to {error}; {progress.how_to_continue}") from None
        finally:
            recovery.reserve_ids(references)
        for line in recovery.missing(references):
            self.stdout.write(line)
        if progress.any_failed:
            raise CommandError("some failed: see their rows")


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
