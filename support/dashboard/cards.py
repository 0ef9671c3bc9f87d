"""The home page's figures, from four queries over bounded windows.

Days are UTC, and an order counts on the day it was recorded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import CharField, Count, Exists, F, Min, OuterRef, QuerySet, Sum, Value
from django.db.models.functions import TruncDate
from django.db.models.lookups import IsNull
from django.http import HttpRequest
from django.utils import timezone

from billing.models import (
    OPEN_DISPUTE,
    Dispute,
    EventStatus,
    Order,
    OrderStatus,
    StripeEvent,
)
from billing.stripe.objects import PAYMENT_FAILED
from conversations.models import Conversation, PaymentStatus
from support import money
from support.dashboard import chart
from support.models import SupportAction

CHART_DAYS = 30
SPANS = ((1, "today"), (7, "7 days"), (30, "30 days"))


@dataclass(slots=True)
class Day:
    """One day's orders by outcome, and its money by currency in smallest units.

    `orders` were paid, whatever became of them; `revenue` is what was not refunded since.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    revenue: Counter[str] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Card:
    label: str
    value: str
    note: str = ""
    tone: str = ""
    url: str = ""


Days = Mapping[date, Day]


def context(request: HttpRequest) -> dict[str, Any]:
    """What the page shows; users without sight of orders get an empty desk and the menu."""
    if not request.user.has_perm("billing.view_order"):
        return {}
    now = timezone.now()
    days = _days(now)
    return {
        "sales": _sales(days, now.date()),
        "cards": [_conversion(now), *_needs(now, days)],
        "chart": chart.draw(
            [now.date() - timedelta(days=age) for age in reversed(range(CHART_DAYS))],
            {day: facts.outcomes for day, facts in days.items()},
        ),
        "recent": SupportAction.objects.select_related("actor").order_by("-id")[:5],
    }


def _days(now: datetime) -> Days:
    """The chart's days, and as many before them to compare with."""
    rows = (
        Order.objects.filter(created_at__gte=_midnight(now) - timedelta(days=2 * CHART_DAYS - 1))
        .annotate(day=TruncDate("created_at", tzinfo=UTC))
        .annotate(gone=IsNull(F("refunded_at"), False))
        .values("day", "status", "is_duplicate", "gone", "currency")
        .annotate(orders=Count("*"), cents=Sum("amount_cents"), back=Sum("refunded_cents"))
        .order_by()
    )
    days: defaultdict[date, Day] = defaultdict(Day)
    for row in rows:
        day = days[row["day"]]
        day.outcomes[_outcome(row)] += row["orders"]
        if row["status"] == OrderStatus.COMPLETED:
            day.orders += row["orders"]
            day.revenue[row["currency"]] += row["cents"] - row["back"]
            day.refunded[row["currency"]] += row["back"]
    return days


def _outcome(row: Mapping[str, Any]) -> str:
    if row["gone"]:
        return "refunded"
    return "duplicate" if row["is_duplicate"] else str(row["status"])


def _sales(days: Days, today: date) -> list[Card]:
    return [
        card
        for length, label in SPANS
        for card in _span(label, _sum(days, today, length), _sum(days, today, length, skip=length))
    ]


def _span(label: str, now: Day, before: Day) -> list[Card]:
    main, *others = [name for name, _ in (now.revenue or before.revenue).most_common()] or ["usd"]
    rest = ", ".join(money.show(now.revenue[name], name) for name in others[:3])
    change = _change(now.revenue[main], before.revenue[main])
    return [
        Card(
            f"Revenue, {label}",
            money.show(now.revenue[main], main),
            f"{change}; also {rest}" if rest else change,
        ),
        Card(f"Paid orders, {label}", f"{now.orders:,}", _change(now.orders, before.orders)),
    ]


def _sum(days: Days, today: date, length: int, *, skip: int = 0) -> Day:
    total = Day()
    for age in range(skip, skip + length):
        if (day := days.get(today - timedelta(days=age))) is not None:
            total.outcomes.update(day.outcomes)
            total.orders += day.orders
            total.revenue.update(day.revenue)
            total.refunded.update(day.refunded)
    return total


def _change(now: int, before: int) -> str:
    """`+12 % on the time before`."""
    if not before:
        return "nothing the time before" if now else "none, and none the time before"
    return f"{(now - before) / before:+.0%} on the time before".replace("%", " %")


def _conversion(now: datetime) -> Card:
    """Of the conversations begun in these days that asked for a link, how many are paid."""
    asked = Conversation.objects.filter(
        created_at__gte=_midnight(now) - timedelta(days=CHART_DAYS - 1),
        stripe_session_id__isnull=False,
    )
    rows = asked.order_by().values_list("payment_status").annotate(number=Count("*"))
    found = Counter(dict(rows))
    links, paid = found.total(), found[PaymentStatus.PAID]
    rate = f"{paid / links:.0%}".replace("%", " %") if links else "none"
    note = f"{paid:,} of {links:,} conversations"
    return Card("From link to paid, 30 days", rate, note)


def _needs(now: datetime, days: Days) -> Iterable[Card]:
    """What went wrong, and what waits for somebody, each with the list to work on."""
    found = _counts(now)
    failed = _sum(days, now.date(), 7).outcomes[OrderStatus.FAILED]
    declined, duplicates = found["declined"][0], found["duplicate"][0]
    yield Card(
        "Failures, 7 days",
        f"{failed + declined:,}",
        f"{declined:,} declined cards, {failed:,} failed orders",
        url=f"billing/stripeevent/?type={PAYMENT_FAILED}",
    )
    yield _refunds(_sum(days, now.date(), CHART_DAYS))
    disputes = found["dispute"][0]
    yield Card(
        "Open disputes",
        f"{disputes:,}",
        "their keys are suspended" if disputes else "none",
        "bad" if disputes else "good",
        "billing/order/?state=in_dispute",
    )
    yield Card(
        "Duplicates to refund",
        f"{duplicates:,}",
        "paid twice" if duplicates else "nobody waits for money",
        "bad" if duplicates else "good",
        "billing/order/?state=due_back",
    )
    yield _events_card(found)


def _refunds(days: Day) -> Card:
    given_back = [money.show(cents, name) for name, cents in days.refunded.most_common(3) if cents]
    return Card(
        "Refunds, 30 days",
        given_back[0] if given_back else "none",
        ", ".join(["of the orders of these days", *given_back[1:]]),
        url="billing/order/?state=refunded",
    )


def _events_card(found: Mapping[str, tuple[int, datetime | None]]) -> Card:
    waiting = {status: found[status][0] for status in ("received", "unmatched", "failed")}
    stuck, since = found["stuck"]
    parts = [f"{number:,} {status}" for status, number in waiting.items() if number]
    if stuck and since:
        parts.append(f"{stuck:,} stuck since {since:%-d %b, %H:%M}")
    return Card(
        "Events waiting",
        f"{sum(waiting.values()):,}",
        ", ".join(parts) or "all settled",
        "bad" if stuck else "wait" if parts else "good",
        "billing/stripeevent/?status=waiting",
    )


def _counts(now: datetime) -> Mapping[str, tuple[int, datetime | None]]:
    """How many of each, and since when: one query, each part of it served by a partial index."""
    unsettled = StripeEvent.objects.unsettled().exclude(
        Exists(SupportAction.objects.done().handled().filter(event_id=OuterRef("event_id")))
    )
    declined = StripeEvent.objects.filter(
        type=PAYMENT_FAILED, created_at__gte=_midnight(now) - timedelta(days=6)
    )
    disputes = Dispute.objects.filter(status__in=OPEN_DISPUTE)
    duplicates = Order.objects.filter(is_duplicate=True, refunded_at__isnull=True).exclude(
        Exists(SupportAction.objects.done().handled().filter(order_id=OuterRef("pk")))
    )
    parts = [
        _part(unsettled.filter(status=status), status.value)
        for status in (EventStatus.RECEIVED, EventStatus.UNMATCHED, EventStatus.FAILED)
    ]
    parts += [_part(unsettled.stuck(), "stuck"), _part(declined, "declined")]
    parts += [_part(duplicates, "duplicate"), _part(disputes, "dispute")]
    rows = parts[0].union(*parts[1:], all=True)
    counted = {row["what"]: (row["number"], row["since"]) for row in rows}
    return defaultdict(lambda: (0, None), counted)


def _part(rows: QuerySet[Any], what: str) -> QuerySet[Any, dict[str, Any]]:
    """One row for `what`; none where there is nothing to count."""
    named: QuerySet[Any, dict[str, Any]] = (
        rows.order_by()
        .annotate(what=Value(what, output_field=CharField()))
        .values("what")
        .annotate(number=Count("*"), since=Min("created_at"))
    )
    return named


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
