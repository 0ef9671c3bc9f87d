"""`manage.py prune_events`: delete old settled events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from billing.management.progress import Progress, summarised
from billing.models import SETTLED, StripeEvent, StripeEventQuerySet

BATCH_SIZE = 1000
# Stripe keeps events for 30 days: those that it may still send must stay in the event log.
MIN_DAYS = 30
MAX_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Deletes events that were settled more than this many days ago. Unsettled events are never "
        "deleted. Orders, refunds and disputes stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=int, required=True, metavar="DAYS")
        parser.add_argument("--dry-run", action="store_true", help="count, delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["older_than"] < MIN_DAYS:
            raise CommandError(f"--older-than must be at least {MIN_DAYS} days")
        if options["older_than"] > MAX_DAYS:
            raise CommandError(f"--older-than must be at most {MAX_DAYS} days")
        cutoff = timezone.now() - timedelta(days=options["older_than"])
        old = StripeEvent.objects.filter(
            status__in=SETTLED, settled_at__lt=cutoff, created_at__lt=cutoff
        )
        if options["dry_run"]:
            self.stdout.write(f"{old.count():,} events would be deleted")
            return
        progress = Progress("events", total=old.count())
        with summarised(progress, self.stdout):
            while deleted := _delete_batch(old):
                progress.step("deleted", deleted)


@transaction.atomic
def _delete_batch(old: StripeEventQuerySet) -> int:
    """Delete a batch; skips rows that are locked by a replay."""
    batch = old.order_by("pk").locked(skip_locked=True).values_list("pk", flat=True)[:BATCH_SIZE]
    deleted, _ = StripeEvent.objects.filter(pk__in=list(batch), status__in=SETTLED).delete()
    return deleted
