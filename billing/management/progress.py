"""Progress of a long command, and its summary when it ends or is interrupted.

Ctrl-C and SIGTERM interrupt a command at once. The open transaction is rolled back; what was
committed before is kept, counted, and not done again by the next run.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import NoReturn, Self, TextIO

from django.core.management.base import CommandError, OutputWrapper
from tqdm import tqdm

FAILED = "failed"
LINE_INTERVAL = 1.0  # seconds
DEFAULT_TERMINAL_SIZE = (80, 24)


class Progress:
    """A bar on a terminal, otherwise one line a second; counts the outcome of each step."""

    def __init__(self, noun: str, *, total: int | None = None, out: TextIO | None = None) -> None:
        self.noun = noun
        self.total = total
        self.counts: Counter[str] = Counter()
        # Part of the message after an interruption.
        self.how_to_continue = "it may be run again"
        self._out = out or sys.stderr
        self._started = self._last_line_at = time.monotonic()
        width, height = _size(self._out)
        # disable=None: no bar without a terminal.
        self._bar = tqdm(
            total=total,
            unit=f" {noun}",
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
        if self._bar.disable and now - self._last_line_at >= LINE_INTERVAL:
            self._last_line_at = now
            of = f" of {self.total:,}" if self.total is not None else ""
            rate = self.done / (now - self._started)
            print(f"{self.done:,}{of} {self.noun}, {rate:,.0f} a second", file=self._out)

    def summary(self) -> str:
        return summary(self.noun, self.counts)


def _size(out: TextIO) -> tuple[int, int] | tuple[None, None]:
    """A size for a terminal that reports none, where tqdm draws nothing; None: tqdm decides."""
    with suppress(OSError):  # not a terminal
        if 0 in os.get_terminal_size(out.fileno()):
            return DEFAULT_TERMINAL_SIZE
    return None, None


def summary(noun: str, counts: Counter[str]) -> str:
    """For example "1,204 events: 1,200 processed, 4 failed"."""
    parts = [f"{count:,} {outcome}" for outcome, count in counts.most_common()]
    return f"{counts.total():,} {noun}" + (f": {', '.join(parts)}" if parts else "")


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does; possible in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


@contextmanager
def summarised(progress: Progress, out: OutputWrapper) -> Iterator[None]:
    """Write the summary however the block ends; raise CommandError if it was interrupted."""
    try:
        with terminable(), progress:
            yield
    except KeyboardInterrupt as interruption:
        # The exit status that a shell reports for a process killed by the signal.
        number = signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT
        message = f"interrupted; {progress.how_to_continue}"
        raise CommandError(message, returncode=128 + number) from None
    finally:
        out.write(progress.summary())
