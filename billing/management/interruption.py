"""How a long command ends: with a summary, also when Ctrl-C or SIGTERM stops it half way.

Both interrupt it at once. The transaction that is open is rolled back; what was committed stays
done, is counted, and is not done again by the next run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from django.core.management.base import CommandError, OutputWrapper

from billing.management.progress import Progress


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does; Python allows it in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


@contextmanager
def summarised(progress: Progress, out: OutputWrapper) -> Iterator[None]:
    """Write the summary however the block ends; interrupted, it raises CommandError."""
    try:
        with terminable(), progress:
            yield
    except KeyboardInterrupt as stop:
        # What a shell reports of a process that the signal killed.
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        complaint = f"interrupted; {progress.to_go_on}"
        raise CommandError(complaint, returncode=128 + number) from None
    finally:
        out.write(progress.summary())
