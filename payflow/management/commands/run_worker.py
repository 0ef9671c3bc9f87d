"""`manage.py run_worker`: every background job in one process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from billing.management.progress import terminable
from payflow import worker


class Command(BaseCommand):
    help = (
        "Runs the background jobs when they are due: failed events, unsettled payments, "
        "undelivered events, expired sessions. SIGTERM and Ctrl-C end it; what is not committed "
        "is rolled back and done by the next run."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with terminable():
                worker.run_forever()
        except KeyboardInterrupt:
            self.stdout.write("stopped")
