"""The lines of a file of keys to import: CSV with a header, or NDJSON, one key each."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from apikeys.validators import MAX_NAME_LENGTH, validate_name

COLUMNS = {"externalId", "email", "sha256", "prefix", "name", "tier", "created", "paymentIntent"}
DEFAULT_NAME, DEFAULT_TIER = "Imported key", "premium"

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX = re.compile(r"[!-~]{1,20}", re.ASCII)
_TIER = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_PAYMENT_INTENT = re.compile(r"pi_[A-Za-z0-9_]{1,250}", re.ASCII)


class WrongLine(ValueError):
    """The text says what is wrong, without repeating what may be a secret."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    external_id: str
    email: str
    sha256: str
    prefix: str
    name: str
    tier: str
    created_at: datetime
    payment_intent: str


def read(path: Path) -> Iterator[tuple[int, Line | WrongLine]]:
    """(number, the line or what is wrong with it), one line in memory at a time."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = file.readline()
        file.seek(0)
        rows = _ndjson(file) if first.lstrip().startswith("{") else _csv(file)
        for number, row in rows:
            try:
                if isinstance(row, WrongLine):
                    raise row
                yield number, _parsed(number, row)
            except WrongLine as wrong:
                yield number, wrong


def _ndjson(file: Any) -> Iterator[tuple[int, Mapping[str, Any] | WrongLine]]:
    for number, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else WrongLine("it is no JSON object")


def _csv(file: Any) -> Iterator[tuple[int, Mapping[str, Any] | WrongLine]]:
    reader = csv.DictReader(file, strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as reason:
            yield reader.line_num, WrongLine(f"it is no CSV: {reason}")
            continue
        if None in row or None in row.values():
            yield reader.line_num, WrongLine("it has more or fewer columns than the header")
        else:
            yield reader.line_num, row


def _parsed(number: int, row: Mapping[str, Any]) -> Line:
    """Raises WrongLine."""
    if unknown := set(row) - COLUMNS:
        raise WrongLine(f"there is no column {min(unknown)[:40]!a}")
    texts = {name: _text(row.get(name), name) for name in COLUMNS}
    if bool(texts["externalId"]) == bool(texts["email"]):
        raise WrongLine("it needs externalId or email, one of them")
    name = texts["name"] or DEFAULT_NAME
    try:
        validate_name(name)
    except ValidationError as error:
        raise WrongLine(f"name: {error.messages[0]}") from None
    if len(name) > MAX_NAME_LENGTH:
        raise WrongLine(f"name is longer than {MAX_NAME_LENGTH} characters")
    return Line(
        number,
        external_id=texts["externalId"],
        email=texts["email"],
        sha256=_matching(_SHA256, texts["sha256"].lower(), "sha256 is not 64 hexadecimal digits"),
        prefix=_matching(_PREFIX, texts["prefix"], "prefix is not 1 to 20 visible characters"),
        name=name,
        tier=_matching(_TIER, texts["tier"] or DEFAULT_TIER, "tier is not a name of a tier"),
        created_at=_time(texts["created"]),
        payment_intent=texts["paymentIntent"]
        and _matching(_PAYMENT_INTENT, texts["paymentIntent"], "paymentIntent is not pi_…"),
    )


def _text(value: Any, name: str) -> str:
    text = "" if value is None else value
    if not isinstance(text, str) or "\0" in text or (not text.isascii() and not _is_utf8(text)):
        raise WrongLine(f"{name} is not a text in UTF-8")
    return text


def _is_utf8(text: str) -> bool:
    return not re.search(r"[\ud800-\udfff]", text)


def _matching(pattern: re.Pattern[str], text: str, wrong: str) -> str:
    if not pattern.fullmatch(text):
        raise WrongLine(wrong)
    return text


def _time(text: str) -> datetime:
    """A time with a zone, or in UTC; now if it is left out."""
    now = timezone.now()
    if not text:
        return now
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise WrongLine("created is not a time like 2024-05-01T12:00:00Z") from None
    if at > now:
        raise WrongLine("created is in the future")
    return at
