"""Finds orders by what a customer holds: card, receipt, invoice, the address typed at Checkout.

Stripe's events have these; an index on the payload serves each. They are found as long as the
event is kept, and its personal data (docs/privacy.md).
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.db.models import F

from billing.models import (
    CHARGE_TYPES,
    HELD_OF_CHARGE,
    HELD_OF_SESSION,
    PAID_TYPES,
    Order,
    OrderQuerySet,
    StripeEvent,
)
from notifications import money

MAX_ROWS = 20
DAY = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)", re.ASCII)
_AMOUNT = re.compile(r"(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w-])", re.ASCII)
# One of each number of decimals.
_CURRENCIES = ("usd", "jpy", "kwd")


def by_session(name: str, value: str) -> list[Order]:
    """Orders by `email`, `customer` or `invoice` of their Checkout Session, newest first."""
    value = value.lower() if name == "email" else value
    events = StripeEvent.objects.filter(type__in=PAID_TYPES)
    events = events.alias(held=HELD_OF_SESSION[name]).filter(held=value)
    return _newest(Order.objects.filter(stripe_session_id__in=events.values("object_id")))


def by_charge(name: str, value: str) -> list[Order]:
    """Orders by `last4` of the card or `receipt_number`, newest first."""
    events = StripeEvent.objects.filter(type__in=CHARGE_TYPES)
    events = events.alias(held=HELD_OF_CHARGE[name]).filter(held=value)
    ids = events.exclude(payment_intent_id="").values("payment_intent_id")
    return _newest(Order.objects.filter(stripe_payment_intent_id__in=ids))


def by_amount_and_day(text: str) -> list[Order]:
    """Orders of a day (UTC), narrowed by an amount in the order's currency: `20.00 2026-11-25`."""
    day = DAY.search(text)
    if day is None:
        return []
    try:
        begins = datetime.fromisoformat(day.group()).replace(tzinfo=UTC)
    except ValueError:
        return []
    orders = Order.objects.filter(created_at__gte=begins, created_at__lt=begins + timedelta(days=1))
    amount = _AMOUNT.search(DAY.sub(" ", text))
    if amount is None:
        return _newest(orders)
    candidates = orders.filter(amount_cents__in=_smallest_units(amount.group()))
    found = _newest(candidates, 5 * MAX_ROWS)
    return [each for each in found if _is_amount(each, amount.group())][:MAX_ROWS]


def _smallest_units(amount: str) -> set[int]:
    found = set()
    for currency in _CURRENCIES:
        with suppress(ValueError):
            found.add(money.parse(amount, currency))
    return found


def _is_amount(order: Order, amount: str) -> bool:
    try:
        return money.parse(amount, order.currency) == order.amount_cents
    except ValueError:
        return False


def _newest(orders: OrderQuerySet, rows: int = MAX_ROWS) -> list[Order]:
    """Sorted by an expression: by the column, PostgreSQL may read all orders from the newest on."""
    return list(orders.order_by(-F("pk"))[:rows])
