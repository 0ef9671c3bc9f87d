"""Decides when scheduled jobs run: as they fall due, changes in order, errands at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from sandbox.account import Account
from sandbox.errors import ApiError
from sandbox.jobs import Job

Change = Callable[..., object]
"""A job that only changes the account; it and its removal are one transaction."""
Errand = Callable[..., Awaitable[None]]
"""A job that talks to the outside."""

log = logging.getLogger("sandbox")


class Runner:
    """Does what the schedule says."""

    def __init__(
        self, account: Account, changes: Mapping[str, Change], errands: Mapping[str, Errand]
    ) -> None:
        self._account = account
        self._changes = changes
        self._errands = errands
        self._out: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run what is due, now and from now on."""
        self._loop = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Drop what is under way; it is still in the schedule."""
        tasks = [*self._out.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_idle(self, *, horizon: float) -> bool:
        """Whether nothing is under way and nothing falls due within so many seconds."""
        coming = self._account.schedule.seconds_to_next()
        return not self._out and (coming is None or coming > horizon)

    async def _run(self) -> None:
        schedule = self._account.schedule
        while True:
            schedule.changed.clear()
            self._run_due()
            wait = schedule.seconds_to_next(ignoring=frozenset(self._out))
            # Not wait_for, which before Python 3.12 can swallow the cancellation that ends this.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await schedule.changed.wait()

    def _run_due(self) -> None:
        for job in self._account.schedule.due():
            if job.id in self._out:
                continue
            if job.name in self._changes:
                self._make(job)
            else:
                self._send(job)

    def _make(self, job: Job) -> None:
        try:
            with self._account.change():
                self._changes[job.name](self._account, **job.arguments)
                self._account.schedule.finish(job)
        except ApiError as refusal:
            log.info("%s: %s", job.name, refusal.message)
            self._finish(job)
        except Exception:
            log.exception("%s failed and is dropped", job.name)
            self._finish(job)

    def _send(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run_errand(job))
        self._out[job.id] = task

    async def _run_errand(self, job: Job) -> None:
        try:
            await self._errands[job.name](**job.arguments)
        except Exception:
            log.exception("%s failed and is dropped", job.name)
        self._finish(job)
        del self._out[job.id]

    def _finish(self, job: Job) -> None:
        with self._account.change():
            self._account.schedule.finish(job)
