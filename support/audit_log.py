"""Write the audit log so that tampering shows: each write adds a digest to a chain.

A digest covers the one before it, the columns of the action, and a digest of its texts with a
salt. So a person's texts can be erased, together with their salts, and the chain still holds.
Whoever can write every table could compute the chain anew: each new digest is logged as well, and
`check_audit_log --expect` compares the chain with a logged one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from support.models import ERASED, AuditDigest, SupportAction

logger = logging.getLogger(__name__)

FIRST = "0" * 64  # in place of the digest before the first
_TEXTS = ("reason", "outcome", "changes")
# Another column would change the digests of all rows: it needs a second list, for later rows.
_COLUMNS = (
    "id",
    "token",
    "kind",
    "actor_id",
    "customer_id",
    "conversation_id",
    "order_id",
    "api_key_id",
    "grant_id",
    "service_token_id",
    "notification_id",
    "endpoint_id",
    "event_id",
    "amount_cents",
    "stripe_refund_id",
    "succeeded",
    "created_at",
    "finished_at",
)
# Held until the transaction ends, so that digests are chained in the order of the commits. It is
# the last lock of a transaction but for the rows of the audit log.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('payflow audit log', 0))"


# Rows in memory at once.
PAGE_SIZE = 1000


class Broken(Exception):
    """The audit log was changed by something else than this module. The text names the row."""


@transaction.atomic
def record(**columns: Any) -> SupportAction:
    """Add an action to the audit log."""
    return get_or_record(uuid.uuid4(), columns)[0]


def get_or_record(token: uuid.UUID, columns: dict[str, Any]) -> tuple[SupportAction, bool]:
    """The action of this token, and whether it was added now. In the caller's transaction."""
    action, is_new = SupportAction.objects.get_or_create(token=token, defaults=columns)
    if is_new:
        _lock()
        _append(action.pk)
    return action, is_new


@transaction.atomic
def save(action: SupportAction, columns: Collection[str]) -> None:
    """Save these columns of an action, with a digest of its new state."""
    _lock()
    action.save(update_fields=columns)
    _append(action.pk)


@transaction.atomic
def erase_texts(action_id: int) -> None:
    """Remove what people wrote about an action. Its columns, times and result stay."""
    _lock()
    action = SupportAction.objects.get(pk=action_id)
    action.reason, action.changes = ERASED, {}
    action.outcome = ERASED if action.outcome else ""
    action.save(update_fields=_TEXTS)
    action.digests.update(salt="")


def check() -> AuditDigest | None:
    """Compare every action with the chain; return the last digest. Raises Broken."""
    later = AuditDigest.objects.filter(action=OuterRef("action"), pk__gt=OuterRef("pk"))
    digests = AuditDigest.objects.select_related("action").annotate(is_old=Exists(later))
    last: AuditDigest | None = None
    for position, digest in enumerate(in_pages(digests), start=1):
        if digest.pk != position:
            raise Broken(f"digest {position} is missing, before that of action {digest.action_id}")
        before = last.digest if last else FIRST
        if digest.digest != _chained(before, position, digest.row_digest):
            raise Broken(f"digest {position}, of action {digest.action_id}, was changed")
        if not digest.is_old:
            _check_row(digest)
        last = digest
    unchained = SupportAction.objects.filter(digests=None).order_by("pk").first()
    if unchained is not None:
        raise Broken(f"action {unchained.pk} has no digest")
    return last


def in_pages(rows: QuerySet[Any]) -> Iterator[Any]:
    """The rows by primary key, which is a number, a page at a time."""
    after = 0
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:PAGE_SIZE]):
        yield from page
        after = page[-1].pk


def _check_row(digest: AuditDigest) -> None:
    action = digest.action
    erased = (action.reason, action.changes) == (ERASED, {}) and action.outcome in ("", ERASED)
    texts = digest.text_digest if erased and not digest.salt else _of_texts(action, digest.salt)
    if texts != digest.text_digest:
        raise Broken(f"the texts of action {action.pk} were changed")
    if _of_row(action, texts) != digest.row_digest:
        raise Broken(f"action {action.pk} was changed")


def _lock() -> None:
    """SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_LOCK)


def _append(action_id: int) -> None:
    """Add the digest of an action as it stands in the database. The lock is held."""
    action = SupportAction.objects.get(pk=action_id)
    last = AuditDigest.objects.order_by("pk").last()
    position = last.pk + 1 if last else 1
    salt = secrets.token_hex(32)
    texts = _of_texts(action, salt)
    row = _of_row(action, texts)
    digest = _chained(last.digest if last else FIRST, position, row)
    AuditDigest.objects.create(
        position=position,
        action=action,
        salt=salt,
        text_digest=texts,
        row_digest=row,
        digest=digest,
    )
    transaction.on_commit(partial(logger.info, "Audit log %d:%s", position, digest))


def _chained(before: str, position: int, row_digest: str) -> str:
    return _sha256([before, position, row_digest])


def _of_row(action: SupportAction, text_digest: str) -> str:
    return _sha256([text_digest, *(_plain(getattr(action, name)) for name in _COLUMNS)])


def _of_texts(action: SupportAction, salt: str) -> str:
    return _sha256([salt, *(getattr(action, name) for name in _TEXTS)])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1_000_000)
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
