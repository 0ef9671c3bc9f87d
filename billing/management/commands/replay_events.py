"""`manage.py replay_events`: handle stored events again, selected by id, type, time and so on."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils.dateparse import parse_date, parse_datetime

from billing.events import replay
from billing.management.progress import Progress, summarised
from billing.models import EventStatus, Order, StripeEvent, StripeEventQuerySet


def parse_time(text: str) -> datetime:
    """A date or a time; UTC without an offset."""
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
        "Handles stored events again, in the order in which they were received. Settled events are "
        "left out unless --force is given; handling one again changes only what was wrong. Safe "
        "during live traffic and other replays. Exit status 1 if any failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event_ids", nargs="*", metavar="EVENT_ID", help="only these")
        parser.add_argument("--type", action="append", help="only this type; may be repeated")
        parser.add_argument("--status", action="append", choices=EventStatus.values)
        parser.add_argument("--conversation", type=int, metavar="ID")
        parser.add_argument("--user", type=int, metavar="ID", help="of this user's conversations")
        parser.add_argument("--since", type=parse_time, metavar="TIME", help="received at or after")
        parser.add_argument("--until", type=parse_time, metavar="TIME", help="received before")
        parser.add_argument("--after", type=int, default=0, metavar="N", help="resume after row N")
        parser.add_argument("--force", action="store_true", help="handle settled events too")
        parser.add_argument("--dry-run", action="store_true", help="count, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        events = _selected(options)
        _reject_unknown_ids(options["event_ids"])
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
        progress.how_to_continue = f"continue with --after {after}"
        with summarised(progress, self.stdout):
            for pk, event_id in replay.iter_by_pk(events, after=after):
                progress.step(replay.retry(event_id, force=force))
                progress.how_to_continue = f"continue with --after {pk}"
        if progress.any_failed:
            raise CommandError("some failed: see their rows and the log")


def _selected(options: dict[str, Any]) -> StripeEventQuerySet:
    events = StripeEvent.objects.all()
    conditions = {
        "event_id__in": options["event_ids"] or None,
        "type__in": options["type"],
        "status__in": options["status"],
        "created_at__gte": options["since"],
        "created_at__lt": options["until"],
    }
    events = events.filter(
        **{name: value for name, value in conditions.items() if value is not None}
    )
    if options["conversation"] is not None:
        events = events.filter(_about("conversation", options["conversation"]))
    if options["user"] is not None:
        events = events.filter(_about("user", options["user"]))
    return events


def _about(owner: str, identifier: int) -> Q:
    """Events of a conversation or a user, unsettled ones included.

    An unsettled event is not linked to a conversation yet: it is found by its metadata or by the
    PaymentIntent of an order.
    """
    orders = Order.objects.filter(**{f"{owner}_id": identifier})
    linked = {"conversation": "conversation_id", "user": "conversation__user_id"}[owner]
    return (
        Q(**{linked: identifier})
        | Q(**{f"payload__data__object__metadata__{owner}_id": str(identifier)})
        | Q(payment_intent_id__in=orders.values("stripe_payment_intent_id"))
    )


def _reject_unknown_ids(wanted: list[str]) -> None:
    found = StripeEvent.objects.filter(event_id__in=wanted).values_list("event_id", flat=True)
    if unknown := set(wanted) - set(found):
        raise CommandError(f"not in the event log: {', '.join(sorted(unknown))}")
