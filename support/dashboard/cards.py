"""The cards of the dashboard, from five queries over bounded periods.

Days are UTC, and an order counts on the day it was recorded. The sums of earlier days are at most
five minutes old.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.cache import caches
from django.db.models import CharField, Count, F, Min, QuerySet, Sum, Value
from django.db.models.functions import TruncDate
from django.db.models.lookups import IsNull
from django.http import HttpRequest
from django.utils import timezone

from billing.models import (
    CheckoutSettings,
    Order,
    OrderStatus,
    StripeEvent,
)
from billing.stripe.objects import PAYMENT_FAILED
from conversations.models import Conversation, PaymentStatus
from notifications import money
from notifications.models import UNDELIVERED, Endpoint, MailStatus, Notification
from support.dashboard import chart
from support.models import SupportAction
from support.open_work import (
    DISPUTES_TO_ANSWER,
    DUPLICATES_TO_REFUND,
    FAILING_ENDPOINTS,
    FRAUD_WARNINGS,
    IN_DISPUTE,
    ORDERS_TO_REVIEW,
    WAITING_EVENTS,
)

CHART_DAYS = 30
# How old the sums of earlier days may be: they are most of what is read. Today's are of now.
KEPT_SECONDS = 300
ORDER_COLUMNS = (
    *("day", "status", "is_duplicate", "is_refunded", "currency"),
    *("orders", "cents", "refunded"),
)
PERIODS = ((1, "today"), (7, "7 days"), (30, "30 days"))


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
Rows = list[list[Any]]  # as JSON has them


def context(request: HttpRequest) -> dict[str, Any]:
    """The dashboard's context; empty for users who may not view orders."""
    if not request.user.has_perm("billing.view_order"):
        return {}
    now = timezone.now()
    days = _days(now)
    return {
        "sales": _sales(days, now.date()),
        "cards": [_conversion(now), *_attention_cards(now, days)],
        "chart": chart.draw(
            [now.date() - timedelta(days=age) for age in reversed(range(CHART_DAYS))],
            {day: counts.outcomes for day, counts in days.items()},
        ),
        "recent": SupportAction.objects.select_related("actor").order_by("-id")[:5],
    }


def _days(now: datetime) -> Days:
    """The chart's days, and as many before them for comparison."""
    today = _midnight(now)
    since = today - timedelta(days=2 * CHART_DAYS - 1)
    days: defaultdict[date, Day] = defaultdict(Day)
    rows = _kept(f"orders since {since:%F}", lambda: _order_rows(since, today))
    for name, status, is_duplicate, is_refunded, currency, orders, cents, refunded in [
        *rows,
        *_order_rows(today),
    ]:
        day = days[date.fromisoformat(name)]
        day.outcomes[_outcome(status, is_duplicate, is_refunded)] += orders
        if status == OrderStatus.COMPLETED:
            day.orders += orders
            day.revenue[currency] += cents - refunded
            day.refunded[currency] += refunded
    return days


def _order_rows(since: datetime, until: datetime | None = None) -> Rows:
    """Day, status, duplicate, refunded, currency; then orders, cents and refunded cents."""
    orders = Order.objects.filter(created_at__gte=since)
    if until is not None:
        orders = orders.filter(created_at__lt=until)
    rows = (
        orders.annotate(day=TruncDate("created_at", tzinfo=UTC))
        .annotate(is_refunded=IsNull(F("refunded_at"), False))
        .values("day", "status", "is_duplicate", "is_refunded", "currency")
        .annotate(orders=Count("*"), cents=Sum("amount_cents"), refunded=Sum("refunded_cents"))
        .order_by()
    )
    return [[str(day), *rest] for day, *rest in rows.values_list(*ORDER_COLUMNS)]


def _kept(name: str, add_up: Callable[[], Rows]) -> Rows:
    """What was added up of earlier days in the last five minutes, or is now."""
    key = f"dashboard: {name}".replace(" ", "-")
    rows: Rows | None = caches["results"].get(key)
    if rows is None:
        rows = add_up()
        caches["results"].set(key, rows, KEPT_SECONDS)
    return rows


def _outcome(status: str, is_duplicate: bool, is_refunded: bool) -> str:
    if is_refunded:
        return "refunded"
    return "duplicate" if is_duplicate else status


def _sales(days: Days, today: date) -> list[Card]:
    return [
        card
        for length, label in PERIODS
        for card in _period_cards(
            label, _sum(days, today, length), _sum(days, today, length, skip=length)
        )
    ]


def _period_cards(label: str, now: Day, before: Day) -> list[Card]:
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
    """`+12% vs previous period`."""
    if not before:
        return "none in the previous period" if now else "none, as in the previous period"
    return f"{(now - before) / before:+.0%} vs previous period"


def _conversion(now: datetime) -> Card:
    """The share of paid conversations among the new ones that have a payment link."""
    today = _midnight(now)
    since = today - timedelta(days=CHART_DAYS - 1)
    rows = _kept(f"conversations since {since:%F}", lambda: _conversation_rows(since, today))
    found: Counter[str] = Counter()
    for status, number in [*rows, *_conversation_rows(today)]:
        found[status] += number
    links, paid = found.total(), found[PaymentStatus.PAID]
    rate = f"{paid / links:.0%}" if links else "none"
    note = f"{paid:,} of {links:,} conversations"
    return Card("Link to payment, 30 days", rate, note)


def _conversation_rows(since: datetime, until: datetime | None = None) -> Rows:
    """Payment status and number."""
    found = Conversation.objects.filter(created_at__gte=since, stripe_session_id__isnull=False)
    if until is not None:
        found = found.filter(created_at__lt=until)
    rows = found.order_by().values_list("payment_status").annotate(number=Count("*"))
    return [list(row) for row in rows]


def _attention_cards(now: datetime, days: Days) -> Iterable[Card]:
    """Failures and open work, each with a link to its list."""
    found = _counts(now)
    failed = _sum(days, now.date(), 7).outcomes[OrderStatus.FAILED]
    declined, duplicates = found["declined"][0], found["duplicate"][0]
    yield Card(
        "Failures, 7 days",
        f"{failed + declined:,}",
        f"{_number(declined, 'declined card')}, {_number(failed, 'failed order')}",
        url=f"billing/stripeevent/?type={PAYMENT_FAILED}",
    )
    yield _refunds_card(_sum(days, now.date(), CHART_DAYS))
    disputes = found["dispute"][0]
    yield Card(
        "Open disputes",
        f"{disputes:,}",
        "their keys are suspended" if disputes else "none",
        "wait" if disputes else "good",
        "billing/order/?state=in_dispute",
    )
    if due := found["to_answer"][0]:
        yield Card(
            "Disputes to answer",
            f"{due:,}",
            "evidence is due at Stripe",
            "bad",
            "billing/order/?state=to_answer",
        )
    if warnings := found["fraud_warning"][0]:
        yield Card(
            "Fraud warnings",
            f"{warnings:,}",
            "refund them before they are disputed",
            "bad",
            "billing/order/?state=fraud_warning",
        )
    yield Card(
        "Duplicates to refund",
        f"{duplicates:,}",
        "paid twice" if duplicates else "nothing to refund",
        "bad" if duplicates else "good",
        "billing/order/?state=to_refund",
    )
    reviews = found["review"][0]
    yield Card(
        "Orders to review",
        f"{reviews:,}",
        "not as their links say" if reviews else "none",
        "bad" if reviews else "good",
        "billing/order/?state=needs_review",
    )
    yield _events_card(found)
    yield from _outbox_cards(found)
    if CheckoutSettings.objects.is_closed_to_new_customers():
        note, url = "staff have closed it to new customers", "billing/checkoutsettings/"
        yield Card("Checkout", "closed", note, "bad", url)


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _outbox_cards(found: Mapping[str, tuple[int, datetime | None]]) -> Iterable[Card]:
    """Mail of 30 days that did not arrive, and webhook endpoints that need somebody."""
    bounced, failed = found["bounced"][0], found["unsent"][0]
    yield Card(
        "Mail not delivered, 30 days",
        f"{bounced + failed:,}",
        f"{bounced:,} bounced, {failed:,} not sent" if bounced or failed else "none",
        "bad" if failed else "wait" if bounced else "good",
        "notifications/notification/?mail=undelivered",
    )
    endpoints, since = found["endpoint"]
    if endpoints and since:
        note = "disabled or failing: events wait"
        yield Card("Webhooks", f"{endpoints:,}", note, "bad", "notifications/endpoint/")


def _refunds_card(days: Day) -> Card:
    refunds = [money.show(cents, name) for name, cents in days.refunded.most_common(3) if cents]
    return Card(
        "Refunds, 30 days",
        refunds[0] if refunds else "none",
        ", ".join(["of orders in this period", *refunds[1:]]),
        url="billing/order/?state=refunded",
    )


def _events_card(found: Mapping[str, tuple[int, datetime | None]]) -> Card:
    waiting = {status: found[status][0] for status in ("received", "unmatched", "failed")}
    stuck, since = found["stuck"]
    parts = [f"{number:,} {status}" for status, number in waiting.items() if number]
    if stuck and since:
        parts.append(f"{stuck:,} stuck since {since:%-d %b, %H:%M} UTC")
    return Card(
        "Events waiting",
        f"{sum(waiting.values()):,}",
        ", ".join(parts) or "all settled",
        "bad" if stuck else "wait" if parts else "good",
        "billing/stripeevent/?status=waiting",
    )


def _counts(now: datetime) -> Mapping[str, tuple[int, datetime | None]]:
    """The number and the oldest time of each kind of work, by one query.

    A partial index serves each part of it.
    """
    waiting = StripeEvent.objects.filter(WAITING_EVENTS)
    declined = StripeEvent.objects.filter(
        type=PAYMENT_FAILED, created_at__gte=_midnight(now) - timedelta(days=6)
    )
    disputes = Order.objects.filter(IN_DISPUTE)
    duplicates = Order.objects.filter(DUPLICATES_TO_REFUND)
    parts = [_count_rows(waiting, F("status"))]  # received, unmatched, failed
    parts += [_count_row(waiting.stuck(), "stuck"), _count_row(declined, "declined")]
    parts += [_count_row(duplicates, "duplicate"), _count_row(disputes, "dispute")]
    parts += [_count_row(Order.objects.filter(ORDERS_TO_REVIEW), "review")]
    parts += [_count_row(Order.objects.filter(FRAUD_WARNINGS), "fraud_warning")]
    parts += [_count_row(Order.objects.filter(DISPUTES_TO_ANSWER), "to_answer")]
    mails = Notification.objects.filter(created_at__gte=now - timedelta(days=CHART_DAYS))
    undelivered = mails.filter(mail_status__in=UNDELIVERED)
    parts += [
        _count_row(undelivered.filter(mail_status=MailStatus.BOUNCED), "bounced"),
        _count_row(undelivered.filter(mail_status=MailStatus.FAILED), "unsent"),
        _count_row(Endpoint.objects.filter(FAILING_ENDPOINTS), "endpoint"),
    ]
    rows = parts[0].union(*parts[1:], all=True)
    counted = {row["name"]: (row["number"], row["since"]) for row in rows}
    return defaultdict(lambda: (0, None), counted)


def _count_row(rows: QuerySet[Any], name: str) -> QuerySet[Any, dict[str, Any]]:
    """One row for `name`; none when there is nothing to count."""
    return _count_rows(rows, Value(name, output_field=CharField()))


def _count_rows(rows: QuerySet[Any], name: Value | F) -> QuerySet[Any, dict[str, Any]]:
    """One row for each `name`."""
    named: QuerySet[Any, dict[str, Any]] = (
        rows.order_by()
        .annotate(name=name)
        .values("name")
        .annotate(number=Count("*"), since=Min("created_at"))
    )
    return named


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
