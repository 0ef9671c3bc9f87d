"""`manage.py process_events`: try again what failed, once or every N seconds."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from billing.events import replay
from billing.management.interruption import summarised, terminable
from billing.management.progress import Progress, summary

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 86_400


class Command(BaseCommand):
    help = (
        "Handles events that failed, after a pause that doubles each time, and those that were "
        "received by a process that died. After 12 attempts an event is parked for a person. "
        "Exit status 1 when any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--loop", type=float, metavar="N", help="go on for ever, every N seconds"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["loop"] is not None:
            if not 0 < options["loop"] <= LONGEST_SLEEP:
                raise CommandError(f"--loop takes more than 0 and at most {LONGEST_SLEEP} seconds")
            self._loop(options["loop"])
            return
        progress = Progress("events")
        with summarised(progress, self.stdout):
            _process_due(progress)
        if progress.any_failed:
            raise CommandError("some failed: their rows say why, and when they are tried again")

    def _loop(self, seconds: float) -> None:
        """Until SIGTERM or Ctrl-C, which is how it is meant to end: the exit status is 0."""
        in_all: Counter[str] = Counter()
        try:
            with terminable():
                while True:
                    self._round(in_all)
                    time.sleep(seconds)
        except KeyboardInterrupt:
            self.stdout.write(f"interrupted; in all {summary('events', in_all)}")

    def _round(self, in_all: Counter[str]) -> None:
        progress = Progress("events")
        try:
            with progress:
                _process_due(progress)
        except DatabaseError:
            logger.exception("The database does not answer; the next round will try again")
        finally:
            connection.close()  # it may die while we sleep, unnoticed
            in_all.update(progress.counts)
            if progress.done:
                self.stdout.write(progress.summary())
                self.stdout.flush()  # into a service's log, now


def _process_due(progress: Progress) -> None:
    for _, event_id in replay.walk(replay.due()):
        progress.step(replay.again(event_id, force=True))
