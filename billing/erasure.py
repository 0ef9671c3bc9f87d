"""Remove a person from the event log, and keep what a replay of it reads.

An event too many does no harm: every event can be replayed from what is kept of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from django.db import transaction
from django.db.models import F, Max, Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from billing.models import Order, OrderQuerySet, StripeEvent, StripeEventQuerySet
from billing.stripe import objects

# Rows read by one statement, so that each stays below the statement's time limit.
PAGE_SIZE = 5000
_OBJECT_ID = re.compile(r"(?:ch|cs|cus|in|pi|pm|py)_\w{1,250}", re.ASCII)
_REMOVED = "[erased]"


def events_of(user_id: int, email: str) -> Iterator[StripeEvent]:
    """Every event about the user's payments, and every other one with the email address.

    Reads the whole event log: no index finds an address in a payload.
    """
    orders = Order.objects.filter(user_id=user_id)
    about = (
        Q(conversation__user_id=user_id)
        | Q(payload__data__object__metadata__user_id=str(user_id))
        | Q(object_id__in=orders.values("stripe_session_id"))
        | Q(payment_intent_id__in=orders.values("stripe_payment_intent_id"))
    )
    for spelling in {json.dumps(email, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}:
        about |= Q(text__icontains=spelling)
    found: set[int] = set()
    others: set[str] = set()
    for event in _pages(about):
        found.add(event.pk)
        others |= _objects_named_by(event)
        yield event
    related = StripeEvent.objects.exclude(pk__in=found).order_by("pk")
    yield from related.filter(Q(object_id__in=others) | Q(payment_intent_id__in=others))


def erased_users_events() -> StripeEventQuerySet:
    """Events about payments of erased users which were received after the erasure."""
    orders = Order.objects.filter(user__erased_at__isnull=False)
    return StripeEvent.objects.filter(
        Q(conversation__user__erased_at__isnull=False)
        | Q(payment_intent_id__in=orders.values("stripe_payment_intent_id")),
        erased_at=None,
    )


@transaction.atomic
def erase(event_id: int) -> None:
    """Remove personal data from an event. It stays what it was to a replay."""
    event = StripeEvent.objects.locked().filter(pk=event_id).first()
    if event is None:  # pruned meanwhile
        return
    event.payload = objects.without_personal_data(event.payload)
    if event.last_error:  # its text may quote the payload
        event.last_error = f"{event.last_error.partition(':')[0]}: {_REMOVED}"
    event.erased_at = timezone.now()
    event.save(update_fields=["payload", "last_error", "erased_at", "updated_at"])
    if event.payment_intent_id:
        _forget_receipts(Order.objects.filter(stripe_payment_intent_id=event.payment_intent_id))


def erase_receipts(user_id: int) -> None:
    """Forget where Stripe shows the user's receipts, whose events may have been pruned."""
    _forget_receipts(Order.objects.filter(user_id=user_id))


def _forget_receipts(orders: OrderQuerySet) -> None:
    orders.exclude(receipt_url="").update(receipt_url="", updated_at=timezone.now())


def _pages(about: Q) -> Iterator[StripeEvent]:
    texts = StripeEvent.objects.alias(text=Cast(F("payload"), TextField()))
    last = StripeEvent.objects.aggregate(last=Max("pk"))["last"] or 0
    for start in range(0, last, PAGE_SIZE):
        page = texts.filter(pk__gt=start, pk__lte=start + PAGE_SIZE)
        yield from page.filter(about).order_by("pk")


def _objects_named_by(event: StripeEvent) -> set[str]:
    """The ids of the payment, charge, customer and invoice that the event's object names."""
    values = event.stripe_object.values()
    return {text for text in values if isinstance(text, str) and _OBJECT_ID.fullmatch(text)}
