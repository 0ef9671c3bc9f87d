"""What happened to a payment: every event in order of arrival, and what staff did between them."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.urls import reverse

from apikeys.secret_patterns import redact
from billing.models import Order, StripeEvent, StripeEventQuerySet
from support.models import SupportAction

LONGEST = 200  # rows of each kind; a payment has a dozen


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline. `tone` is a status: it names a badge's colour."""

    at: datetime
    title: str
    detail: str
    tone: str
    url: str
    by: str = ""
    error: str = ""


def of_order(order: Order, actions: Iterable[SupportAction]) -> list[Moment]:
    about = Q(conversation_id=order.conversation_id) | Q(object_id=order.stripe_session_id)
    if order.stripe_payment_intent_id:
        about |= Q(payment_intent_id=order.stripe_payment_intent_id)
    return _merged(StripeEvent.objects.filter(about), actions)


def of_conversation(conversation_id: int, actions: Iterable[SupportAction]) -> list[Moment]:
    return _merged(StripeEvent.objects.filter(conversation_id=conversation_id), actions)


def _merged(events: StripeEventQuerySet, actions: Iterable[SupportAction]) -> list[Moment]:
    newest = events.defer("payload").order_by("-id")[:LONGEST]
    moments = [*map(_of_event, newest), *map(of_action, actions)]
    return sorted(moments, key=operator.attrgetter("at"))


def _of_event(event: StripeEvent) -> Moment:
    return Moment(
        at=event.created_at,
        title=event.type,
        detail=redact(event.outcome),
        tone=event.status,
        url=reverse("admin:billing_stripeevent_change", args=[event.pk]),
        error=redact(event.last_error),
    )


def of_action(action: SupportAction) -> Moment:
    return Moment(
        at=action.created_at,
        title=action.get_kind_display(),
        detail=action.outcome or "Begun; how it ended is not known.",
        tone={True: "done", False: "refused", None: "unknown"}[action.succeeded],
        url=reverse("admin:support_supportaction_change", args=[action.pk]),
        by=f"{action.actor}: {action.reason}",
    )
