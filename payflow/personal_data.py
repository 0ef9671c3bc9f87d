"""A person's data in all apps: erase it, export it, and delete what is kept for a time only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.db.models import Model, QuerySet
from django.utils import timezone

import accounts.erasure
import billing.erasure
import notifications.erasure
import support.erasure
from accounts.models import User
from apikeys import services as apikeys
from apikeys.models import ApiKey, Grant
from apikeys.secret_patterns import redact_json
from billing.models import CheckoutLink, Order
from billing.stripe import objects
from conversations.models import Conversation
from notifications.models import Notification
from support.models import SupportAction

REVOKED_BY_ERASURE = "The account was erased."
SIGN_IN_MODELS: tuple[type[Model], ...] = (AccessAttempt, AccessFailureLog, AccessLog)
KEEP_SIGN_INS_DAYS = 30
Json = dict[str, Any]


def erase(user: User) -> int:
    """Erase the person; return the number of events that were changed.

    The account is closed first and its address removed last: an interrupted erasure is finished
    by another one. No transaction spans more than one event, so that payments go on.
    """
    accounts.erasure.close(user)
    apikeys.erase(user.pk, reason=REVOKED_BY_ERASURE)
    Conversation.objects.owned_by(user.pk).update(
        title=apikeys.ERASED, external_id=None, metadata={}, updated_at=timezone.now()
    )
    names = {user.email, user.name}
    events = 0
    for event in billing.erasure.events_of(user.pk, user.email):
        if event.conversation_id is not None:  # else it may be another person's
            names |= objects.personal_names(event.payload)
        billing.erasure.erase(event.pk)
        events += 1
    billing.erasure.erase_receipts(user.pk)
    notifications.erasure.erase(user.pk)
    support.erasure.erase_texts(user.pk, names)
    for model in SIGN_IN_MODELS:
        model._default_manager.filter(username__iexact=user.email).delete()
    accounts.erasure.erase(user)
    return events


def erase_later_events() -> int:
    """Erase the events about erased users that Stripe sent after their erasure."""
    late = list(billing.erasure.erased_users_events().values_list("pk", flat=True))
    for event_id in late:
        billing.erasure.erase(event_id)
    return len(late)


def delete_sign_ins(*, older_than: timedelta) -> int:
    """Delete failed sign-ins that are older; return how many."""
    before = timezone.now() - older_than
    deleted = 0
    for model in SIGN_IN_MODELS:
        deleted += model._default_manager.filter(attempt_time__lt=before).delete()[0]
    return deleted


def export(user: User) -> Json:
    """Everything that is stored about a person, as JSON without secrets and hashes."""
    events = billing.erasure.events_of(user.pk, user.email)
    sign_ins = (
        model._default_manager.filter(username__iexact=user.email) for model in SIGN_IN_MODELS
    )
    return {
        "user": _row(user, without=("password",)),
        "addresses": _rows(EmailAddress.objects.filter(user=user)),
        "sessions": _rows(user.sessions.all(), without=("session_key", "session_data")),
        "conversations": _rows(Conversation.objects.owned_by(user.pk)),
        "paymentLinks": _rows(CheckoutLink.objects.filter(user=user)),
        "orders": _rows(Order.objects.owned_by(user.pk)),
        "grants": _rows(Grant.objects.owned_by(user.pk)),
        "apiKeys": _rows(ApiKey.objects.owned_by(user.pk), without=("key_hash",)),
        "notifications": _rows(Notification.objects.owned_by(user.pk)),
        "events": [redact_json(event.payload) for event in events],
        "supportActions": _rows(SupportAction.objects.filter(customer=user), without=("token",)),
        "failedSignIns": [row for rows in sign_ins for row in _rows(rows)],
    }


def _rows(rows: QuerySet[Any], *, without: Iterable[str] = ()) -> list[Json]:
    return [_row(row, without=without) for row in rows.order_by("pk")]


def _row(row: Model, *, without: Iterable[str] = ()) -> Json:
    columns = (field for field in row._meta.concrete_fields if field.name not in without)
    return {column.attname: _plain(getattr(row, column.attname)) for column in columns}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
