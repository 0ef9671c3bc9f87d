"""`manage.py reconcile_orders`: ask Stripe about payments that nothing was heard of."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from billing import checkout
from billing.management.interruption import summarised
from billing.management.progress import FAILED, Progress
from billing.stripe import client

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Re-reads the Checkout Sessions that conversations and orders have been waiting for, and "
        "fulfils what was paid. Changes nothing where events have told it before. Exit status 1 "
        "when some could not be brought up to date."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=15,
            metavar="MINUTES",
            help="only what has waited for longer (15)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        older_than = timedelta(minutes=options["older_than"])
        progress = Progress("sessions")
        with summarised(progress, self.stdout):
            for session_id in checkout.unsettled_sessions(older_than=older_than):
                progress.step(_reconcile(session_id))
        if progress.any_failed:
            raise CommandError("some could not be brought up to date: see the log")


def _reconcile(session_id: str) -> str:
    try:
        return checkout.reconcile(session_id)
    except client.StripeFailed:
        return FAILED
    except (ValueError, DatabaseError):
        # One that cannot be read or recorded must not keep the others waiting.
        logger.exception("Session %s could not be reconciled", session_id)
        return FAILED
