"""`manage.py prune_events`: delete settled events that are old."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from billing.management.interruption import summarised
from billing.management.progress import Progress
from billing.models import SETTLED, StripeEvent, StripeEventQuerySet

BATCH = 1000
# Stripe itself keeps events for so long; what it may still send or show must be known here.
KEPT_BY_STRIPE_DAYS = 30
LONGEST_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Deletes events that were settled more than this many days ago. What is not settled is "
        "never deleted, however old. Orders, refunds and disputes stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=int, required=True, metavar="DAYS")
        parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["older_than"] < KEPT_BY_STRIPE_DAYS:
            raise CommandError(f"--older-than must be at least {KEPT_BY_STRIPE_DAYS} days")
        if options["older_than"] > LONGEST_DAYS:
            raise CommandError(f"--older-than must be at most {LONGEST_DAYS} days")
        cutoff = timezone.now() - timedelta(days=options["older_than"])
        old = StripeEvent.objects.filter(
            status__in=SETTLED, settled_at__lt=cutoff, created_at__lt=cutoff
        )
        if options["dry_run"]:
            self.stdout.write(f"{old.count():,} events would be deleted")
            return
        progress = Progress("events", total=old.count())
        with summarised(progress, self.stdout):
            while deleted := _delete_some(old):
                progress.step("deleted", deleted)


@transaction.atomic
def _delete_some(old: StripeEventQuerySet) -> int:
    """Delete a batch; a row that is being replayed right now is left for another time."""
    batch = old.order_by("pk").locked(skip_locked=True).values_list("pk", flat=True)[:BATCH]
    deleted, _ = StripeEvent.objects.filter(pk__in=list(batch), status__in=SETTLED).delete()
    return deleted
