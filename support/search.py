"""One box that finds what a customer has to hand: an email address, an id of Stripe's, a key.

What is typed is never logged, never put into a URL and, when it is a key, hashed at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Lower

from apikeys import tokens
from apikeys.models import ApiKey
from apikeys.secret_patterns import CLIENT_SECRET, JWT, STRIPE_KEY
from billing.models import Order, StripeEvent
from billing.stripe import client
from conversations.models import Conversation

LIMIT = 20
SHORTEST_PREFIX = 7  # sk_ and four digits

JWT_PASTED = "This is a token (JWT), not an API key. It was not kept."
PASTED_BY_MISTAKE = (
    "This is a secret of Stripe's, not an API key of ours. It was not kept; tell its owner to "
    "roll it in Stripe's dashboard, because it has been shown to somebody."
)
NOTHING_LIKE_IT = (
    "Type a whole email address, an id (cs_…, pi_…, ch_…, evt_…, re_…, dp_…), a number, or paste "
    "a key or the start of one."
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; `note` says what else there is to know. The text itself is not kept."""

    rows: Collection[Model] = ()
    note: str = ""
    subject: str = field(default="")


Finder = Callable[[str], Findings]


def find(text: str) -> Findings:
    """All that the text names, however it was copied (spaces, quotes, `Bearer`)."""
    text = text.replace("\0", " ")  # no database stores one
    text = CLIENT_SECRET.sub("", text)  # the payment's id is left
    for pattern, finder in FINDERS:
        if match := pattern.search(text):
            return finder(match.group())
    return Findings(note=NOTHING_LIKE_IT)


def _key(key: str) -> Findings:
    return Findings(list(ApiKey.objects.filter(key_hash=tokens.digest(key))), subject="a key")


def _stripe_secret(secret: str) -> Findings:
    return Findings(note=PASTED_BY_MISTAKE, subject="a secret")


def _token(token: str) -> Findings:
    return Findings(note=JWT_PASTED, subject="a token")


def _prefix(start: str) -> Findings:
    """Of a cut-off key no more than what is stored of every key is looked at."""
    if len(start) < SHORTEST_PREFIX:
        return Findings(note=NOTHING_LIKE_IT)
    start = tokens.prefix(start)
    exact = len(start) == tokens.PREFIX_LENGTH
    prefix = Q(key_prefix=start) if exact else Q(key_prefix__startswith=start)
    return Findings(list(ApiKey.objects.filter(prefix)[:LIMIT]), subject=f"{start}…")


def _email(email: str) -> Findings:
    users = get_user_model().objects.alias(lower_email=Lower("email"))
    return Findings(list(users.filter(lower_email=email.lower())[:LIMIT]), subject=email)


def _event(event_id: str) -> Findings:
    return Findings(list(_light(StripeEvent.objects.filter(event_id=event_id))), subject=event_id)


def _session(session_id: str) -> Findings:
    """An order; a session that nobody paid has only a conversation, and perhaps events."""
    return _first_of(
        session_id,
        lambda: Order.objects.filter(stripe_session_id=session_id),
        lambda: Conversation.objects.filter(stripe_session_id=session_id),
        lambda: _light(StripeEvent.objects.filter(object_id=session_id)),
    )


def _payment_intent(intent_id: str) -> Findings:
    return _first_of(
        intent_id,
        lambda: Order.objects.filter(stripe_payment_intent_id=intent_id),
        lambda: _conversations_of(StripeEvent.objects.filter(payment_intent_id=intent_id)),
        lambda: _light(StripeEvent.objects.filter(payment_intent_id=intent_id)),
    )


def _part_of_a_payment(object_id: str) -> Findings:
    """A charge, refund or dispute: an event of it names the payment, else Stripe does."""
    events = StripeEvent.objects.filter(object_id=object_id)
    intent_ids = set(events.exclude(payment_intent_id="").values_list("payment_intent_id")[:LIMIT])
    if intent_ids:
        found = _payment_intent(next(iter(intent_ids))[0])
        return Findings(found.rows, found.note, object_id)
    try:
        asked = client.payment_intent_of(object_id) if object_id.startswith("ch_") else None
    except client.StripeFailed:
        return Findings(note="No event names it, and Stripe does not answer.", subject=object_id)
    if asked:
        return Findings(_payment_intent(asked).rows, subject=object_id)
    return Findings(list(_light(events)), subject=object_id)


def _number(number: str) -> Findings:
    """Whatever has this number."""
    pk = int(number.lstrip("#"))
    models: Iterable[type[Model]] = (Order, Conversation, get_user_model())
    rows = chain.from_iterable(model._default_manager.filter(pk=pk) for model in models)
    return Findings(list(rows), subject=f"number {pk}")


def _first_of(subject: str, *queries: Callable[[], QuerySet[Any]]) -> Findings:
    for query in queries:
        if rows := list(query()[:LIMIT]):
            return Findings(rows, subject=subject)
    return Findings(subject=subject)


def _conversations_of(events: QuerySet[StripeEvent]) -> QuerySet[Conversation]:
    return Conversation.objects.filter(pk__in=events.values("conversation_id"))


def _light(events: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
    return events.defer("payload").order_by("-id")[:LIMIT]


# The first that matches wins.
FINDERS: Sequence[tuple[re.Pattern[str], Finder]] = (
    (re.compile(r"sk_[0-9a-f]{64}(?![0-9a-zA-Z_])"), _key),
    (STRIPE_KEY, _stripe_secret),
    (re.compile(r"sk_[0-9a-f]+"), _prefix),
    (re.compile(r"[^\s<>\"',;:]+@[^\s<>\"',;:]+"), _email),
    (JWT, _token),
    (re.compile(r"evt_\w{1,250}"), _event),
    (re.compile(r"cs_\w{1,250}"), _session),
    (re.compile(r"pi_[0-9A-Za-z]{1,250}"), _payment_intent),
    (re.compile(r"(?:ch|py|re|pyr|dp|du)_\w{1,250}"), _part_of_a_payment),
    (re.compile(r"(?<!\w)#?[1-9][0-9]{0,17}(?!\w)"), _number),
)
