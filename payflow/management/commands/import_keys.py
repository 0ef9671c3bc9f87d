"""`manage.py import_keys FILE`: import the keys of another system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.management.progress import Progress, summarised
from payflow import imports

MAX_REPORTED = 100


class Command(BaseCommand):
    help = (
        "Imports keys by their SHA-256, with a grant each, from CSV or NDJSON with externalId or "
        "email, sha256, prefix, and optionally name, tier, created and paymentIntent. A wrong line "
        "is listed with its number, and nothing is imported then."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="only check the file")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run: bool = options["dry_run"]
        progress = Progress("keys")
        progress.how_to_continue = "nothing was imported"
        reported = 0

        def report(number: int, fault: str) -> None:
            nonlocal reported
            reported += 1
            if reported <= MAX_REPORTED:
                self.stderr.write(f"line {number}: {fault}")

        def step(count: int) -> None:
            progress.step("correct", count)

        try:
            with summarised(progress, self.stdout):
                imports.import_keys(options["file"], dry_run=dry_run, report=report, step=step)
        except imports.Refused as refused:
            more = refused.wrong - MAX_REPORTED
            if more > 0:
                self.stderr.write(f"and {more:,} more")
            raise CommandError(f"{refused.wrong:,} lines are wrong: nothing was imported") from None
        except OSError as error:
            raise CommandError(f"{options['file']} can't be read: {error.strerror}") from None
        self.stdout.write("Nothing was imported: --dry-run." if dry_run else "All are imported.")
