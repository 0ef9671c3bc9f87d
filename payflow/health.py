"""`/healthz` says that the process answers, `/readyz` that it can do its work."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from billing.models import EventStatus, StripeEvent

logger = logging.getLogger(__name__)

# Stripe repeats a delivery within minutes: what is unsettled for longer needs somebody.
STUCK_AFTER = timedelta(minutes=15)


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when all checks pass, else 503; each check is named with what it found."""
    try:
        checks = {
            "database": "ok",
            "migrations": _migrations(),
            "events": _events(),
        }
    except DatabaseError:
        logger.exception("The database does not answer")
        checks = {"database": "does not answer"}
    ready = all(found == "ok" for found in checks.values())
    body = {"status": "ok" if ready else "not ready", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503)


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(pending)} not applied" if pending else "ok"


def _events() -> str:
    before = timezone.now() - STUCK_AFTER
    waiting = (EventStatus.RECEIVED, EventStatus.FAILED)
    stuck = StripeEvent.objects.filter(status__in=waiting, created_at__lt=before).count()
    return f"{stuck} stuck" if stuck else "ok"
