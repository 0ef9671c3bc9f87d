"""Import the keys of another system: grants and keys, and no orders that never were.

The whole file is one transaction: if a line is wrong, nothing is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from django.db import connection, transaction
from django.db.models.functions import Lower

from accounts.models import User
from apikeys import importing
from apikeys.models import ApiKey, Grant
from billing.models import ImportedPayment, Order
from payflow.imported_lines import Line, WrongLine, read

BATCH = 2000

Report = Callable[[int, str], None]


class Refused(Exception):
    """Lines are wrong: nothing was imported. `wrong` is how many."""

    def __init__(self, wrong: int) -> None:
        super().__init__(wrong)
        self.wrong = wrong


class _DryRun(Exception):
    pass


def import_keys(path: Path, *, dry_run: bool, report: Report, step: Callable[[int], None]) -> None:
    """Import every line of the file, or none.

    `report` is called with the number and the fault of each wrong line, `step` with the number of
    keys after each batch. Raises Refused, OSError.
    """
    wrong = 0
    try:
        with transaction.atomic():
            _lift_statement_timeout()
            for batch in _batches(read(path)):
                faults = _import(batch)
                for number, fault in sorted(faults):
                    report(number, fault)
                wrong += len(faults)
                step(len(batch) - len(faults))
            if wrong:
                raise Refused(wrong)
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass


def _batches(
    lines: Iterator[tuple[int, Line | WrongLine]],
) -> Iterator[list[tuple[int, Line | WrongLine]]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def _import(batch: list[tuple[int, Line | WrongLine]]) -> list[tuple[int, str]]:
    """Import the lines that are right; return the number and the fault of each that is not."""
    faults = [(number, str(line)) for number, line in batch if isinstance(line, WrongLine)]
    lines = [line for _, line in batch if isinstance(line, Line)]
    owners = _owners(lines)
    known = set(
        ApiKey.objects.filter(key_hash__in=[line.sha256 for line in lines]).values_list(
            "key_hash", flat=True
        )
    )
    grants = _grants(lines)
    of_orders = _payments_of_orders(lines)
    good: list[tuple[Line, int]] = []
    payments: dict[str, tuple[int, str]] = {}
    for line in lines:
        owner = owners.get(line.external_id or User.normalize_username(line.email))
        fault = _fault(line, owner, known, of_orders)
        if fault is None and owner is not None and line.payment_intent:
            grant = grants.get(line.payment_intent)
            first = (grant.user_id, grant.tier) if grant is not None else (owner, line.tier)
            if payments.setdefault(line.payment_intent, first) != (owner, line.tier):
                fault = "the PaymentIntent belongs to another user or tier"
        if fault is not None or owner is None:
            faults.append((line.number, fault or ""))
            continue
        known.add(line.sha256)
        good.append((line, owner))
    _create(good, grants)
    return faults


def _fault(line: Line, owner: int | None, known: set[str], of_orders: set[str]) -> str | None:
    if owner is None:
        return "there is no such user"
    if line.sha256 in known:
        return "a key with this sha256 exists, or is in an earlier line"
    if line.payment_intent in of_orders:
        return "the PaymentIntent has an order here"
    return None


def _owners(lines: Iterable[Line]) -> dict[str, int]:
    """The ids of users by external id and by address. An erased user has neither."""
    by_id = [line.external_id for line in lines if line.external_id]
    by_email = [User.normalize_username(line.email) for line in lines if line.email]
    found = dict(User.objects.filter(external_id__in=by_id).values_list("external_id", "pk"))
    lower = User.objects.alias(lower_email=Lower("email")).filter(lower_email__in=by_email)
    addresses = {email.lower(): pk for email, pk in lower.values_list("email", "pk")}
    return {str(name): pk for name, pk in found.items()} | addresses


def _grants(lines: Iterable[Line]) -> dict[str, Grant]:
    """The grants of the PaymentIntents that were imported before."""
    intents = {line.payment_intent for line in lines if line.payment_intent}
    rows = ImportedPayment.objects.filter(stripe_payment_intent_id__in=intents)
    return {row.stripe_payment_intent_id: row.grant for row in rows.select_related("grant")}


def _payments_of_orders(lines: Iterable[Line]) -> set[str]:
    intents = {line.payment_intent for line in lines if line.payment_intent}
    found = Order.objects.filter(stripe_payment_intent_id__in=intents)
    return set(map(str, found.values_list("stripe_payment_intent_id", flat=True)))


def _create(good: list[tuple[Line, int]], grants: dict[str, Grant]) -> None:
    new = {
        line.payment_intent: (owner, line.tier, line.created_at)
        for line, owner in reversed(good)
        if line.payment_intent and line.payment_intent not in grants
    }
    made = dict(zip(new, importing.create_grants(list(new.values())), strict=True))
    importing.insert(
        "imported_payments",
        ("stripe_payment_intent_id", "grant_id", "disputes"),
        [(intent, grant_id, "{}") for intent, grant_id in made.items()],
    )
    grant_ids = {intent: grant.pk for intent, grant in grants.items()} | made
    importing.create_keys(
        [
            importing.ImportedKey(
                user_id=owner,
                key_hash=line.sha256,
                prefix=line.prefix,
                name=line.name,
                tier=line.tier,
                created_at=line.created_at,
                grant_id=grant_ids.get(line.payment_intent),
            )
            for line, owner in good
        ]
    )


def _lift_statement_timeout() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
