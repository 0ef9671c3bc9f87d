"""`manage.py process_events`: try again what failed, once or every N seconds."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections

from billing import retrying
from billing.progress import Progress

logger = logging.getLogger(__name__)


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
            self._loop(options["loop"])
            return
        progress = _process_due()
        self.stdout.write(progress.summary())
        if progress.any_failed:
            raise CommandError("some failed: their rows say why, and when they are tried again")

    def _loop(self, seconds: float) -> None:
        """Until SIGTERM or Ctrl-C, which let the event at hand be finished."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.is_set():
            try:
                progress = _process_due(stop)
            except DatabaseError:
                logger.exception("The database does not answer; the next round will try again")
            else:
                if progress.done:
                    self.stdout.write(progress.summary())
            close_old_connections()
            stop.wait(seconds)


def _process_due(stop: threading.Event | None = None) -> Progress:
    with Progress("events") as progress:
        for _, event_id in retrying.walk(retrying.due()):
            if stop is not None and stop.is_set():
                break
            progress.step(retrying.again(event_id, force=True))
    return progress
