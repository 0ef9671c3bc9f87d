"""`manage.py reconcile_orders`: ask Stripe about payments that nothing was heard of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import checkout, gateway
from billing.progress import FAILED, Progress


class Command(BaseCommand):
    help = (
        "Re-reads the Checkout Sessions that conversations and orders have been waiting for, and "
        "fulfils what was paid. Changes nothing where events have told it before. Exit status 1 "
        "when Stripe could not be asked about some."
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
        with Progress("sessions") as progress:
            try:
                for session_id in checkout.unsettled_sessions(older_than=older_than):
                    progress.step(_reconcile(session_id))
            except KeyboardInterrupt:
                self.stdout.write(progress.summary())
                raise CommandError("interrupted; it may be run again", returncode=130) from None
        self.stdout.write(progress.summary())
        if progress.any_failed:
            raise CommandError("Stripe could not be asked about some: see the log")


def _reconcile(session_id: str) -> str:
    try:
        return checkout.reconcile(session_id)
    except gateway.StripeFailed:
        return FAILED
