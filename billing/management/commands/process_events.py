"""`manage.py process_events`: retry failed events, once or every N seconds."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from billing.events import replay
from billing.management.progress import Progress, summarised, summary, terminable

logger = logging.getLogger(__name__)

MAX_SLEEP = 86_400


class Command(BaseCommand):
    help = (
        "Retries failed events, after a pause that doubles each time, and handles events that were "
        "received by a process that died. After 12 attempts an event is parked for staff. "
        "Exit status 1 if any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", type=float, metavar="N", help="repeat every N seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["loop"] is not None:
            if not 0 < options["loop"] <= MAX_SLEEP:
                raise CommandError(f"--loop takes more than 0 and at most {MAX_SLEEP} seconds")
            self._loop(options["loop"])
            return
        progress = Progress("events")
        with summarised(progress, self.stdout):
            _process_due(progress)
        if progress.any_failed:
            raise CommandError("some failed: see their rows for why, and for the next attempt")

    def _loop(self, seconds: float) -> None:
        """Repeat until SIGTERM or Ctrl-C; the exit status is 0 then."""
        total: Counter[str] = Counter()
        try:
            with terminable():
                while True:
                    self._round(total)
                    time.sleep(seconds)
        except KeyboardInterrupt:
            self.stdout.write(f"interrupted; in total {summary('events', total)}")

    def _round(self, total: Counter[str]) -> None:
        progress = Progress("events")
        try:
            with progress:
                _process_due(progress)
        except DatabaseError:
            logger.exception("The database does not answer; retrying in the next round")
        finally:
            connection.close()  # it may be lost during the sleep
            total.update(progress.counts)
            if progress.done:
                self.stdout.write(progress.summary())
                self.stdout.flush()  # to the service's log at once


def _process_due(progress: Progress) -> None:
    for _, event_id in replay.iter_by_pk(replay.due_for_retry()):
        progress.step(replay.retry(event_id, force=True))
