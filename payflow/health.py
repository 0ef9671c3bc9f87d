"""Health checks: `/healthz` for the process, `/readyz` for what it depends on."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

from billing.models import EventStatus, StripeEvent

logger = logging.getLogger(__name__)


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if all checks pass, else 503, with the result of each check."""
    try:
        checks = {
            "database": "ok",
            "migrations": _migrations(),
            "events": _events(),
        }
        unmatched = {"unmatched": StripeEvent.objects.filter(status=EventStatus.UNMATCHED).count()}
    except DatabaseError:
        logger.exception("The database does not answer")
        checks, unmatched = {"database": "does not answer"}, {}
    ready = all(found == "ok" for found in checks.values())
    body = {"status": "ok" if ready else "not ready", "checks": checks, **unmatched}
    return JsonResponse(body, status=200 if ready else 503)


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(pending)} not applied" if pending else "ok"


def _events() -> str:
    """Stuck events fail the check. Unmatched events are only counted (`unmatched`)."""
    stuck = StripeEvent.objects.stuck()
    parked = stuck.filter(parked_at__isnull=False).count()
    count = stuck.count()
    if parked:
        return f"{count} stuck, {parked} of them parked: a person must look"
    return f"{count} stuck" if count else "ok"
