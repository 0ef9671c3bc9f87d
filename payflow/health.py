"""Health checks: `/healthz` for the process, `/readyz` for what it depends on."""

from __future__ import annotations

import logging
import time

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from billing.models import STUCK_AFTER
from restapi import prepared_sql

logger = logging.getLogger(__name__)

# How often the migrations are compared: it takes ten times as long as the rest, and they change
# with a deployment, which starts the process anew.
COMPARE_MIGRATIONS_EVERY = 60.0

# `StripeEvent.objects.stuck()` and its neighbours in one statement, without the events that staff
# have marked as handled. The first condition is that of the index of unsettled events.
_READ = """
    SELECT {read_only},
        count(*) FILTER (WHERE stuck), count(*) FILTER (WHERE stuck AND parked_at IS NOT NULL),
        count(*) FILTER (WHERE status = 'unmatched')
    FROM (
        SELECT status, parked_at,
            status IN ('received', 'failed') AND created_at < %s AS stuck
        FROM stripe_events AS event
        WHERE NOT (status IN ('processed', 'ignored'))
        AND NOT EXISTS (
            SELECT 1 FROM support_actions AS action
            WHERE action.event_id = event.event_id
            AND action.kind = 'mark_handled' AND action.succeeded
        )
    ) AS unsettled
"""
_READ_ONLY = {"postgresql": "current_setting('transaction_read_only') = 'on'"}


class _Migrations:
    """Whether all migrations are applied, remembered for a while once they are."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._applied_until = 0.0

    def check(self) -> str:
        if time.monotonic() < self._applied_until:
            return "ok"
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if pending:
            return f"{len(pending)} not applied"
        self._applied_until = time.monotonic() + COMPARE_MIGRATIONS_EVERY
        return "ok"


MIGRATIONS = _Migrations()


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 503 if the node can't work, with the result of each check.

    Events that could not be handled only make it "degraded": every node has the same, and taking
    them all out of service would stop the payments of everybody else.
    """
    try:
        database, events, unmatched = _read()
        checks = {"database": database, "migrations": MIGRATIONS.check()}
    except DatabaseError as error:
        logger.error("The database does not answer: %s", error)  # noqa: TRY400 - a line per probe
        checks = {"database": "does not answer"}
        return JsonResponse({"status": "not ready", "checks": checks}, status=503)
    ready = all(found == "ok" for found in checks.values())
    status = "not ready" if not ready else "ok" if events == "ok" else "degraded"
    body = {"status": status, "checks": {**checks, "events": events}, "unmatched": unmatched}
    return JsonResponse(body, status=200 if ready else 503)


def _read() -> tuple[str, str, int]:
    """The state of the database, of the events, and the number of unmatched events."""
    statement = _READ.format(read_only=_READ_ONLY.get(connection.vendor, "0"))
    (found,) = prepared_sql.fetch(statement, [timezone.now() - STUCK_AFTER])
    read_only, stuck, parked, unmatched = found
    events = f"{stuck} stuck" if stuck else "ok"
    if parked:
        events = f"{stuck} stuck, {parked} of them parked: a person must look"
    return "read-only" if read_only else "ok", events, unmatched
