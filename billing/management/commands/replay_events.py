"""`manage.py replay_events`: handle stored events again, chosen by id, type, time and so on."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils.dateparse import parse_date, parse_datetime

from billing.events import replay
from billing.management.interruption import summarised
from billing.management.progress import Progress
from billing.models import EventStatus, Order, StripeEvent, StripeEventQuerySet


def moment(text: str) -> datetime:
    """A date or a time; UTC where it does not say."""
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)):
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        found = None
    if found is None:
        raise argparse.ArgumentTypeError(f"not a date or time: {text} (try 2026-11-23T09:30)")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Handles stored events again, in the order in which they arrived. Settled events are left "
        "out unless --force is given; handling one again changes nothing that was right. Safe "
        "beside live traffic and other replays. Exit status 1 when any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event_ids", nargs="*", metavar="EVENT_ID", help="only these")
        parser.add_argument("--type", action="append", help="only this type; may be repeated")
        parser.add_argument("--status", action="append", choices=EventStatus.values)
        parser.add_argument("--conversation", type=int, metavar="ID")
        parser.add_argument("--user", type=int, metavar="ID", help="of this user's conversations")
        parser.add_argument("--since", type=moment, metavar="TIME", help="received at or after")
        parser.add_argument("--until", type=moment, metavar="TIME", help="received before")
        parser.add_argument("--after", type=int, default=0, metavar="N", help="resume after row N")
        parser.add_argument("--force", action="store_true", help="handle settled events too")
        parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        events = _chosen(options)
        _refuse_unknown_ids(options["event_ids"])
        settled = 0 if options["force"] else events.count() - events.unsettled().count()
        if not options["force"]:
            events = events.unsettled()
        total = events.filter(pk__gt=options["after"]).count()
        if options["dry_run"]:
            self.stdout.write(f"{total:,} events would be handled")
        else:
            self._replay(events, total, after=options["after"], force=options["force"])
        if settled:
            self.stdout.write(f"{settled:,} settled events were left out: --force includes them")

    def _replay(self, events: StripeEventQuerySet, total: int, *, after: int, force: bool) -> None:
        progress = Progress("events", total=total)
        progress.to_go_on = f"to go on: --after {after}"
        with summarised(progress, self.stdout):
            for row, event_id in replay.walk(events, after=after):
                progress.step(replay.again(event_id, force=force))
                progress.to_go_on = f"to go on: --after {row}"
        if progress.any_failed:
            raise CommandError("some failed: their rows and the log say why")


def _chosen(options: dict[str, Any]) -> StripeEventQuerySet:
    events = StripeEvent.objects.all()
    conditions = {
        "event_id__in": options["event_ids"] or None,
        "type__in": options["type"],
        "status__in": options["status"],
        "created_at__gte": options["since"],
        "created_at__lt": options["until"],
    }
    events = events.filter(**{name: one for name, one in conditions.items() if one is not None})
    if options["conversation"] is not None:
        events = events.filter(_about("conversation", options["conversation"]))
    if options["user"] is not None:
        events = events.filter(_about("user", options["user"]))
    return events


def _about(whose: str, identifier: int) -> Q:
    """Events of a conversation or of a user, by what they did or, where that is open, would do.

    An event that was not settled is linked to nothing yet: its metadata says whose it is, or the
    PaymentIntent of an order does.
    """
    orders = Order.objects.filter(**{f"{whose}_id": identifier})
    linked = {"conversation": "conversation_id", "user": "conversation__user_id"}[whose]
    return (
        Q(**{linked: identifier})
        | Q(**{f"payload__data__object__metadata__{whose}_id": str(identifier)})
        | Q(payment_intent_id__in=orders.values("stripe_payment_intent_id"))
    )


def _refuse_unknown_ids(wanted: list[str]) -> None:
    found = StripeEvent.objects.filter(event_id__in=wanted).values_list("event_id", flat=True)
    if unknown := set(wanted) - set(found):
        raise CommandError(f"not in the ledger: {', '.join(sorted(unknown))}")
