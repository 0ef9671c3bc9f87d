"""How a long command shows that it moves, and what it did when it ends."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

FAILED = "failed"
LINE_INTERVAL = 1.0
USUAL_SIZE = (80, 24)


class Progress:
    """A bar on a terminal, one line a second elsewhere; counts what came of each step."""

    def __init__(self, what: str, *, total: int | None = None, out: TextIO | None = None) -> None:
        self.what = what
        self.total = total
        self.counts: Counter[str] = Counter()
        # Said to who interrupts it.
        self.to_go_on = "it may be run again"
        self._out = out or sys.stderr
        self._began = self._last_line = time.monotonic()
        width, height = _size(self._out)
        # disable=None: no bar where there is no terminal to draw it on.
        self._bar = tqdm(
            total=total,
            unit=f" {what}",
            disable=None,
            file=self._out,
            ncols=width,
            nrows=height,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    @property
    def done(self) -> int:
        return self.counts.total()

    @property
    def any_failed(self) -> bool:
        return self.counts[FAILED] > 0

    def step(self, outcome: str, count: int = 1) -> None:
        self.counts[outcome] += count
        self._bar.update(count)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= LINE_INTERVAL:
            self._last_line = now
            of = f" of {self.total:,}" if self.total is not None else ""
            rate = self.done / (now - self._began)
            print(f"{self.done:,}{of} {self.what}, {rate:,.0f} a second", file=self._out)

    def summary(self) -> str:
        return summary(self.what, self.counts)


def _size(out: TextIO) -> tuple[int, int] | tuple[None, None]:
    """For tqdm, which draws nothing on a terminal that does not know its size; None: its own."""
    with suppress(OSError):  # it is no terminal
        if 0 in os.get_terminal_size(out.fileno()):
            return USUAL_SIZE
    return None, None


def summary(what: str, counts: Counter[str]) -> str:
    """For example "1,204 events: 1,200 processed, 4 failed"."""
    parts = [f"{count:,} {outcome}" for outcome, count in counts.most_common()]
    return f"{counts.total():,} {what}" + (f": {', '.join(parts)}" if parts else "")
