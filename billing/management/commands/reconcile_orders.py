"""`manage.py reconcile_orders`: compare pending payments with Stripe."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from billing import checkout
from billing.management.progress import FAILED, Progress, summarised
from billing.stripe import client

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Retrieves the Checkout Sessions of pending conversations and orders, and applies their "
        "results. Changes nothing that events have reported before. Exit status 1 if any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=15,
            metavar="MINUTES",
            help="only those pending for longer (15)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        older_than = timedelta(minutes=options["older_than"])
        progress = Progress("sessions")
        with summarised(progress, self.stdout):
            for session_id in checkout.unsettled_sessions(older_than=older_than):
                progress.step(_reconcile(session_id))
        if progress.any_failed:
            raise CommandError("some failed: see the log")


def _reconcile(session_id: str) -> str:
    try:
        return checkout.reconcile(session_id)
    except client.StripeFailed:
        return FAILED
    except (ValueError, DatabaseError):
        # A session that cannot be read or recorded must not stop the others.
        logger.exception("Session %s could not be reconciled", session_id)
        return FAILED
