"""The timeline of a payment: its events and staff actions, in order of time."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.urls import reverse

from apikeys.secret_patterns import redact
from billing.models import Order, StripeEvent, StripeEventQuerySet
from support.actions import registry
from support.models import SupportAction

MAX_EVENTS = 200  # a payment has a dozen


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a timeline. `tone` is a status, which sets the badge's colour."""

    at: datetime
    title: str
    detail: str
    tone: str
    url: str
    by: str = ""
    error: str = ""


def of_order(order: Order, actions: Iterable[SupportAction]) -> list[TimelineEntry]:
    about = Q(conversation_id=order.conversation_id) | Q(object_id=order.stripe_session_id)
    if order.stripe_payment_intent_id:
        about |= Q(payment_intent_id=order.stripe_payment_intent_id)
    return _merged(StripeEvent.objects.filter(about), actions)


def of_conversation(conversation_id: int, actions: Iterable[SupportAction]) -> list[TimelineEntry]:
    return _merged(StripeEvent.objects.filter(conversation_id=conversation_id), actions)


def _merged(events: StripeEventQuerySet, actions: Iterable[SupportAction]) -> list[TimelineEntry]:
    newest = events.defer("payload").order_by("-id")[:MAX_EVENTS]
    entries = [*map(_of_event, newest), *map(_of_action, actions)]
    return sorted(entries, key=operator.attrgetter("at"))


def _of_event(event: StripeEvent) -> TimelineEntry:
    return TimelineEntry(
        at=event.created_at,
        title=event.type,
        detail=redact(event.outcome),
        tone=event.status,
        url=reverse("admin:billing_stripeevent_change", args=[event.pk]),
        error=redact(event.last_error),
    )


def _of_action(action: SupportAction) -> TimelineEntry:
    return TimelineEntry(
        at=action.created_at,
        title=registry.done_label(action.kind),
        detail=action.outcome or "Started; its outcome is not known.",
        tone=action.result,
        url=reverse("admin:support_supportaction_change", args=[action.pk]),
        by=f"{action.actor}: {action.reason}",
    )
