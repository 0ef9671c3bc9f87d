"""`manage.py prune_personal_data`: delete what is kept for a time only. Run it daily."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import confirmation
from payflow import personal_data

MAX_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Deletes failed sign-ins older than this many days, and accounts that nobody confirmed "
        "within a week, and removes personal data from the events about erased users that arrived "
        "since. run_worker does the same daily."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=personal_data.KEEP_SIGN_INS_DAYS,
            metavar="DAYS",
            help="(30)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["older_than"] <= MAX_DAYS:
            raise CommandError(f"--older-than must be 1 to {MAX_DAYS} days")
        deleted = personal_data.delete_sign_ins(older_than=timedelta(days=options["older_than"]))
        accounts = confirmation.delete_abandoned()
        events = personal_data.erase_later_events()
        self.stdout.write(
            f"{deleted:,} sign-ins deleted, {accounts:,} unconfirmed accounts deleted, "
            f"{events:,} events erased"
        )
