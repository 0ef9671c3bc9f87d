"""`manage.py export FILE`: write what a successor system needs, as NDJSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.management.progress import Progress, summarised
from payflow import exports


class Command(BaseCommand):
    help = (
        "Writes users, conversations, orders, grants, keys (by hash) and events as NDJSON, as they "
        "are at one moment. The file holds personal data: only its owner may read it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress("rows")
        progress.how_to_continue = "no file was written"
        try:
            with summarised(progress, self.stdout):
                exports.write(options["file"], step=progress.step)
        except OSError as error:
            raise CommandError(f"{options['file']} can't be written: {error.strerror}") from None
