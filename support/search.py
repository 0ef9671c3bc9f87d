"""Search by an email address, a Stripe id, a number, a key, or what a customer holds of a payment.

The text is never logged and never part of a URL; a key is hashed before it is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Lower

from accounts import service_tokens
from accounts.models import ServiceToken, User
from apikeys import key_forms, tokens
from apikeys.models import ApiKey
from apikeys.secret_patterns import CLIENT_SECRET, JWT, SERVICE_TOKEN, STRIPE_KEY
from billing.models import Order, StripeEvent
from billing.stripe import client
from conversations.models import Conversation
from support import payment_search

MAX_ROWS = 20
LAST_DIGITS = 4  # of a card
MIN_PREFIX_LENGTH = 7  # sk_ and four digits

ROLL_IT_NOTE = (
    "This is a secret of Stripe, not an API key of payflow. It was not stored. Tell its owner to "
    "roll it in Stripe's dashboard: it is not secret any more."
)
JWT_NOTE = "This is a token (JWT), not an API key. It was not stored."
USAGE_NOTE = (
    "Type a whole email address, an id (cs_…, pi_…, ch_…, evt_…, re_…, dp_…, cus_…, in_…), a "
    "number, a receipt number, the last four digits of a card, an amount and a day "
    "(20.00 2026-11-25), or paste a key or the start of one."
)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The rows found, with `subject` as a safe name of the text, which itself is not kept."""

    rows: Collection[Model] = ()
    note: str = ""
    subject: str = field(default="")


Finder = Callable[[str], SearchResult]


def find(text: str) -> SearchResult:
    """The rows that the text names. Spaces, quotes or `Bearer` around it don't matter."""
    text = text.replace("\0", " ")  # PostgreSQL stores no NUL
    text = CLIENT_SECRET.sub("", text)  # the id of the payment remains
    imported = key_forms.redaction_patterns(settings.IMPORTED_KEY_PATTERN)
    for pattern, finder in (*((each, _key) for each in imported), *FINDERS):
        if match := pattern.search(text):
            return finder(match.group())
    return SearchResult(note=USAGE_NOTE)


def _key(key: str) -> SearchResult:
    return SearchResult(list(ApiKey.objects.filter(key_hash=tokens.digest(key))), subject="a key")


def _stripe_secret(secret: str) -> SearchResult:
    return SearchResult(note=ROLL_IT_NOTE, subject="a secret")


def _token(token: str) -> SearchResult:
    return SearchResult(note=JWT_NOTE, subject="a token")


def _service_token(token: str) -> SearchResult:
    found = ServiceToken.objects.filter(token_hash=service_tokens.digest(token))
    return SearchResult(list(found), subject="a service token")


def _prefix(start: str) -> SearchResult:
    """Keys by their first characters; of a longer text only the stored prefix is compared."""
    if len(start) < MIN_PREFIX_LENGTH:
        return SearchResult(note=USAGE_NOTE)
    start = tokens.prefix(start)
    exact = len(start) == tokens.PREFIX_LENGTH
    prefix = Q(key_prefix=start) if exact else Q(key_prefix__startswith=start)
    return SearchResult(list(ApiKey.objects.filter(prefix)[:MAX_ROWS]), subject=f"{start}…")


def _email(email: str) -> SearchResult:
    users = get_user_model().objects.alias(lower_email=Lower("email"))
    found = users.filter(lower_email=User.normalize_username(email))
    rows: list[Model] = list(found[:MAX_ROWS])
    # Typed at Checkout: perhaps another address than that of the account.
    others = payment_search.by_session("email", email)
    own = {user.pk for user in rows}
    rows += [order for order in others if order.user_id not in own]
    return SearchResult(rows, subject=email)


def _customer(customer_id: str) -> SearchResult:
    return SearchResult(payment_search.by_session("customer", customer_id), subject=customer_id)


def _invoice(invoice_id: str) -> SearchResult:
    return SearchResult(payment_search.by_session("invoice", invoice_id), subject=invoice_id)


def _receipt(number: str) -> SearchResult:
    return SearchResult(payment_search.by_charge("receipt_number", number), subject=number)


def _amount_and_day(text: str) -> SearchResult:
    return SearchResult(payment_search.by_amount_and_day(text), subject="an amount and a day")


def _event(event_id: str) -> SearchResult:
    return SearchResult(
        list(_without_payload(StripeEvent.objects.filter(event_id=event_id))), subject=event_id
    )


def _session(session_id: str) -> SearchResult:
    """The order, else the conversation (no payment), else the events."""
    return _first_of(
        session_id,
        lambda: Order.objects.filter(stripe_session_id=session_id),
        lambda: Conversation.objects.filter(stripe_session_id=session_id),
        lambda: _without_payload(StripeEvent.objects.filter(object_id=session_id)),
    )


def _payment_intent(intent_id: str) -> SearchResult:
    return _first_of(
        intent_id,
        lambda: Order.objects.filter(stripe_payment_intent_id=intent_id),
        lambda: _conversations_of(StripeEvent.objects.filter(payment_intent_id=intent_id)),
        lambda: _without_payload(StripeEvent.objects.filter(payment_intent_id=intent_id)),
    )


def _payment_object(object_id: str) -> SearchResult:
    """A charge, refund or dispute: its payment is named by an event, or else by Stripe."""
    events = StripeEvent.objects.filter(object_id=object_id)
    intent_ids = set(
        events.exclude(payment_intent_id="").values_list("payment_intent_id")[:MAX_ROWS]
    )
    if intent_ids:
        found = _payment_intent(next(iter(intent_ids))[0])
        return SearchResult(found.rows, found.note, object_id)
    try:
        intent_id = client.payment_intent_of(object_id) if object_id.startswith("ch_") else None
    except client.StripeFailed:
        return SearchResult(
            note="No event names it, and Stripe gave no usable answer.", subject=object_id
        )
    if intent_id:
        return SearchResult(_payment_intent(intent_id).rows, subject=object_id)
    return SearchResult(list(_without_payload(events)), subject=object_id)


def _number(number: str) -> SearchResult:
    """The order, the conversation and the user of this number; payments by a card ending in it."""
    digits = number.lstrip("#")
    pk = int(digits)
    models: Iterable[type[Model]] = (Order, Conversation, get_user_model())
    rows: list[Model] = [
        row for model in models for row in model._default_manager.filter(pk=pk) if pk
    ]
    if len(digits) == LAST_DIGITS:
        rows += [row for row in payment_search.by_charge("last4", digits) if row not in rows]
    return SearchResult(rows, subject=f"number {digits}")


def _first_of(subject: str, *queries: Callable[[], QuerySet[Any]]) -> SearchResult:
    for query in queries:
        if rows := list(query()[:MAX_ROWS]):
            return SearchResult(rows, subject=subject)
    return SearchResult(subject=subject)


def _conversations_of(events: QuerySet[StripeEvent]) -> QuerySet[Conversation]:
    return Conversation.objects.filter(pk__in=events.values("conversation_id"))


def _without_payload(events: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
    return events.defer("payload").order_by("-id")[:MAX_ROWS]


# The first that matches wins.
FINDERS: Sequence[tuple[re.Pattern[str], Finder]] = (
    (re.compile(r"sk_[0-9a-f]{64}(?![0-9a-zA-Z_])"), _key),
    (STRIPE_KEY, _stripe_secret),
    (JWT, _token),
    (SERVICE_TOKEN, _service_token),
    (re.compile(r"sk_[0-9a-f]+"), _prefix),
    (re.compile(r"[^\s<>\"',;:]+@[^\s<>\"',;:]+"), _email),
    (re.compile(r"evt_\w{1,250}"), _event),
    (re.compile(r"cs_\w{1,250}"), _session),
    (re.compile(r"pi_[0-9A-Za-z]{1,250}"), _payment_intent),
    (re.compile(r"(?:ch|py|re|pyr|dp|du)_\w{1,250}"), _payment_object),
    (re.compile(r"\bcus_\w{1,250}"), _customer),
    (re.compile(r"\bin_[0-9A-Za-z]{1,250}"), _invoice),
    (re.compile(rf"(?s).*{payment_search.DAY.pattern}.*"), _amount_and_day),
    (re.compile(r"(?<![\w-])[0-9]{4}-[0-9]{4}(?![\w-])"), _receipt),
    (re.compile(r"(?<!\w)(?:#?[1-9][0-9]{0,17}|0[0-9]{3})(?!\w)"), _number),
)
