"""The worker: runs due jobs. Database jobs run in order, network jobs concurrently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from sandbox.account import Account
from sandbox.errors import ApiError
from sandbox.jobs import Job

TransactionJob = Callable[..., object]
"""A job that only changes the account, in one transaction with its removal from the queue."""
NetworkJob = Callable[..., Awaitable[None]]
"""A job that makes network requests."""

log = logging.getLogger("sandbox")


class Worker:
    """Runs the jobs in the account's queue."""

    def __init__(
        self,
        account: Account,
        transaction_jobs: Mapping[str, TransactionJob],
        network_jobs: Mapping[str, NetworkJob],
    ) -> None:
        self._account = account
        self._transaction_jobs = transaction_jobs
        self._network_jobs = network_jobs
        self._running: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start running jobs."""
        self._loop = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Cancel running jobs; they stay in the queue."""
        tasks = [*self._running.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_idle(self, *, horizon: float) -> bool:
        """Whether no job is running or due within `horizon` seconds."""
        coming = self._account.jobs.seconds_until_next()
        return not self._running and (coming is None or coming > horizon)

    async def _run(self) -> None:
        jobs = self._account.jobs
        while True:
            jobs.changed.clear()
            self._run_due()
            wait = jobs.seconds_until_next(ignoring=frozenset(self._running))
            # Not wait_for: before Python 3.12 it can swallow the cancellation from stop().
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await jobs.changed.wait()

    def _run_due(self) -> None:
        for job in self._account.jobs.due():
            if job.id in self._running:
                continue
            if job.name in self._transaction_jobs:
                self._run_transaction_job(job)
            else:
                self._start_network_job(job)

    def _run_transaction_job(self, job: Job) -> None:
        try:
            with self._account.change():
                self._transaction_jobs[job.name](self._account, **job.arguments)
                self._account.jobs.finish(job)
        except ApiError as error:
            log.info("%s: %s", job.name, error.message)
            self._finish(job)
        except Exception:
            log.exception("%s failed and is dropped", job.name)
            self._finish(job)

    def _start_network_job(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run_network_job(job))
        self._running[job.id] = task

    async def _run_network_job(self, job: Job) -> None:
        try:
            await self._network_jobs[job.name](**job.arguments)
        except Exception:
            log.exception("%s failed and is dropped", job.name)
        self._finish(job)
        del self._running[job.id]

    def _finish(self, job: Job) -> None:
        with self._account.change():
            self._account.jobs.finish(job)
