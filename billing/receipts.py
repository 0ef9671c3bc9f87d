"""Stripe's receipts: the URL of an order's receipt, from the stored events of its charge.

The newest event counts, whatever arrives first: the handler of a charge's event writes the URL to
the order, and a new order looks for the events that were stored before. Both hold the payment's
lock.
"""

from __future__ import annotations

from django.db.models import F
from django.db.models.fields.json import KT

from billing.models import StripeEvent

TYPES = ("charge.succeeded", "charge.updated")

# `newest` as SQL; a test compares the two.
NEWEST = f"""
    SELECT payload #>> '{{data,object,receipt_url}}' FROM stripe_events
    WHERE payment_intent_id = %(payment_intent_id)s AND livemode = %(livemode)s
    AND type IN ({", ".join(f"'{kind}'" for kind in TYPES)})
    AND payload #>> '{{data,object,receipt_url}}' LIKE 'http%%'
    AND NOT payload ? 'account'
    ORDER BY payload -> 'created' DESC NULLS LAST, event_id DESC LIMIT 1
"""  # noqa: S608 - built from constants


def newest(payment_intent_id: str, *, livemode: bool) -> str:
    """The URL of a payment's receipt; empty while no event has told it."""
    charges = StripeEvent.objects.of_payment(payment_intent_id).filter(
        type__in=TYPES, livemode=livemode, payload__account__isnull=True
    )
    told = charges.annotate(url=KT("payload__data__object__receipt_url"))
    told = told.filter(url__startswith="http")
    newest_first = told.order_by(F("payload__created").desc(nulls_last=True), "-event_id")
    return newest_first.values_list("url", flat=True).first() or ""
