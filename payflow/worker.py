"""The background jobs: what they are, how often they run, and the loop that runs them.

A job changes nothing when it has nothing to do, so several workers may run at once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.db import OperationalError

from accounts import confirmation, second_factor
from apikeys import expiry
from billing import checkout
from billing.events import backfill, replay
from billing.stripe import client
from notifications import deliveries, endpoints, mail
from payflow import db, personal_data

logger = logging.getLogger(__name__)

# Payments that events have not settled for so long are asked for at Stripe.
RECONCILE_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Job:
    """`run` does one round and yields an outcome, in a word or two, for each thing it did."""

    name: str
    every: timedelta
    run: Callable[[], Iterable[str]]


def retry_events() -> Iterator[str]:
    """Failed events whose pause is over, and events whose process died: `process_events`."""
    for _, event_id in replay.iter_by_pk(replay.due_for_retry()):
        yield replay.retry(event_id, force=True)


def reconcile_payments() -> Iterator[str]:
    """Payments that no event has settled: `reconcile_orders`."""
    for session_id in checkout.unsettled_sessions(older_than=RECONCILE_AFTER):
        try:
            yield checkout.reconcile(session_id)
        except client.StripeFailed:  # logged by the client; the others may still succeed
            yield "failed"


def delete_expired_sessions() -> Iterator[str]:
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return iter(())


def prune() -> Iterator[str]:
    """Personal data that is kept for a time only: `prune_personal_data`."""
    older_than = timedelta(days=personal_data.KEEP_SIGN_INS_DAYS)
    yield from ["deleted"] * personal_data.delete_sign_ins(older_than=older_than)
    yield from ["deleted"] * confirmation.delete_abandoned()
    delivered = timedelta(days=deliveries.KEEP_DELIVERED_DAYS)
    yield from ["deleted"] * deliveries.prune(older_than=delivered)
    yield from ["erased"] * personal_data.erase_later_events()


def reencrypt() -> Iterator[str]:
    """After SECRET_KEY was replaced; its fallback may be removed later."""
    yield from ["encrypted anew"] * (second_factor.reencrypt() + endpoints.reencrypt())


JOBS: Sequence[Job] = (
    Job("mail", timedelta(seconds=5), mail.send_due),
    Job("events out", timedelta(seconds=5), deliveries.send_due),
    Job("failed events", timedelta(seconds=15), retry_events),
    Job("unsettled payments", timedelta(minutes=15), reconcile_payments),
    Job("undelivered events", timedelta(hours=1), backfill.fetch),
    Job("expired sessions", timedelta(days=1), delete_expired_sessions),
    Job("keys that end", timedelta(hours=1), expiry.remind),
    Job("personal data", timedelta(days=1), prune),
    Job("stored secrets", timedelta(days=1), reencrypt),
)


def run_forever(jobs: Sequence[Job] = JOBS) -> None:
    """Run each job at once and then when it is due, until the process is interrupted."""
    due = dict.fromkeys(jobs, time.monotonic())
    while True:
        job = min(due, key=due.__getitem__)
        time.sleep(max(0.0, due[job] - time.monotonic()))
        run(job)
        due[job] = time.monotonic() + job.every.total_seconds()


def run(job: Job) -> None:
    """One round. An error ends the round and not the worker: the next round is a new try."""
    outcomes: Counter[str] = Counter()
    db.close_stale_connections()
    try:
        for outcome in job.run():
            outcomes[outcome] += 1
    except Exception as error:
        is_outage = isinstance(error, (OperationalError, client.StripeFailed))
        logger.exception(
            "The job %s failed and is tried again in %s: %s",
            job.name,
            job.every,
            error,  # noqa: TRY401 - the traceback is left out in an outage
            exc_info=not is_outage,
        )
    if outcomes:
        done = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        logger.info("%s: %s", job.name, done)
