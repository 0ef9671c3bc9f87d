"""Everything that a successor system needs, as one JSON object a line.

All rows are of one snapshot. They are read in pages by primary key, so that memory use is constant.
No password, no refresh token and no service token is among them; keys are there by their hash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Model

from accounts.models import User
from apikeys.models import ApiKey, Grant
from billing.models import (
    CheckoutLink,
    Dispute,
    ImportedPayment,
    Order,
    Refund,
    StripeEvent,
)
from conversations.models import Conversation

PAGE_SIZE = 1000
# In this order, each row comes after the rows that it refers to.
MODELS: tuple[type[Model], ...] = (
    *(User, Conversation, Grant, ApiKey, Order, Refund, Dispute),
    *(ImportedPayment, CheckoutLink, StripeEvent),
)
WITHOUT = {"password", "last_login", "idempotency_digest"}


def write(path: Path, *, step: Callable[[str, int], None]) -> None:
    """Write the file, which appears when it is complete. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file, _snapshot():
            for model in MODELS:
                _write_rows(file, model, step)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_rows(file: IO[str], model: type[Model], step: Callable[[str, int], None]) -> None:
    table = model._meta.db_table
    names = [field.attname for field in model._meta.concrete_fields if field.attname not in WITHOUT]
    after = 0
    while True:
        rows = model._default_manager.filter(pk__gt=after).order_by("pk")
        page = list(rows.values_list("pk", *names)[:PAGE_SIZE])
        for _, *values in page:
            row = {"table": table, **dict(zip(names, values, strict=True))}
            file.write(json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n")
        step(table, len(page))
        if len(page) < PAGE_SIZE:
            return
        after = page[-1][0]


@contextmanager
def _snapshot() -> Iterator[None]:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("SET LOCAL statement_timeout = 0")
        yield
