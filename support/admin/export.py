"""CSV export of a list, streamed a chunk at a time: memory and transactions stay small."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

CHUNK_SIZE = 2000
# Spreadsheets run a cell that starts so as a formula, and customers write titles and names.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BOM = "\ufeff"  # without it Excel reads another encoding than UTF-8


class _Echo:
    """A file whose `write` returns what is written."""

    def write(self, text: str) -> str:
        return text


def as_csv(
    name: str,
    columns: Sequence[tuple[str, Callable[[Any], object]]],
    rows: QuerySet[Any],
) -> StreamingHttpResponse:
    """A download of these rows, which are sorted newest first."""
    response = StreamingHttpResponse(_lines(columns, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response.headers["X-Accel-Buffering"] = "no"  # a proxy would hold the whole of it back
    return response


def _lines(
    columns: Sequence[tuple[str, Callable[[Any], object]]], rows: QuerySet[Any]
) -> Iterator[str]:
    write = csv.writer(_Echo()).writerow
    yield _BOM + write([title for title, _ in columns])
    for row in _by_key(rows):
        yield write([_cell(value(row)) for _, value in columns])


def _by_key(rows: QuerySet[Any]) -> Iterator[Any]:
    """All rows, newest first; each chunk starts after the last key of the one before."""
    chunk = list(rows[:CHUNK_SIZE])
    while chunk:
        yield from chunk
        # After a full chunk the rows are not rare: they are found by the key.
        chunk = list(rows.filter(pk__lt=chunk[-1].pk).order_by("-pk")[:CHUNK_SIZE])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    # NFKC: a spreadsheet may read a full-width sign as "=", and skip spaces before it.
    start = unicodedata.normalize("NFKC", text.lstrip(" \xa0\u3000")[:1])
    return f"'{text}" if start.startswith(_FORMULA) else text
