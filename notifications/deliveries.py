"""Send events to the endpoints: signed, with pauses after failures, for three days."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from notifications import endpoints, events, http_client, signatures
from notifications.models import Delivery, Endpoint

logger = logging.getLogger(__name__)

# Longer than a request takes.
LEASE = timedelta(minutes=1)
PAUSES = (
    *(timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=2), timedelta(hours=6)),
)
# An event, and an endpoint without any success.
GIVE_UP_AFTER = timedelta(days=3)
GONE = 410
KEEP_DELIVERED_DAYS = 30
# One round ends after so long: the worker has other jobs.
MAX_SECONDS = 20.0
# The others wait for the next round: the endpoint is probably down.
MAX_FAILURES = 3


def send_due() -> Iterator[str]:
    """Number new events and send what is due; yield what became of each delivery."""
    while events.number() == events.BATCH:
        continue
    ends_at = time.monotonic() + MAX_SECONDS
    for endpoint in Endpoint.objects.enabled().order_by("failing_since", "pk"):
        failures = 0
        while failures < MAX_FAILURES and time.monotonic() < ends_at:
            delivery = _lease(endpoint)
            if delivery is None:
                break
            outcome = _send(endpoint, delivery)
            failures += outcome != "delivered"
            yield outcome
            if outcome == "endpoint disabled":
                break


def prune(*, older_than: timedelta) -> int:
    """Delete what was delivered before; return how many."""
    before = timezone.now() - older_than
    return Delivery.objects.filter(delivered_at__lt=before).delete()[0]


def _lease(endpoint: Endpoint) -> Delivery | None:
    """The delivery that has been due for longest, reserved for this process."""
    now = timezone.now()
    with transaction.atomic():
        due = endpoint.deliveries.filter(due_at__lte=now).order_by("due_at", "pk")
        found = due.select_related("notification").locked(skip_locked=True).first()
        if found is not None:
            found.due_at = now + LEASE
            found.attempts += 1
            found.save(update_fields=["due_at", "attempts"])
        return found


def _send(endpoint: Endpoint, delivery: Delivery) -> str:
    """One request, without a lock; then its outcome, in a word or two."""
    status, error = None, ""
    try:
        status = _post(endpoint, delivery)
    except (http_client.NotSent, endpoints.RefusedUrl) as reason:
        error = str(reason)
    except Exception as unexpected:
        logger.exception("%s could not be made", delivery)
        error = type(unexpected).__name__
    if status is not None and 200 <= status < 300:
        return _delivered(endpoint, delivery, status)
    return _failed(endpoint, delivery, status, error or f"answered {status}")


def _post(endpoint: Endpoint, delivery: Delivery) -> int:
    target = endpoints.target_of(endpoint.url)
    (event,) = events.bodies([delivery.notification])
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    signed = signatures.headers(
        event["id"], body, at=int(time.time()), signed_with=endpoints.secrets_of(endpoint)
    )
    headers = {"Content-Type": "application/json", "User-Agent": "payflow", **signed}
    return http_client.post(target, body.encode(), headers)


def _delivered(endpoint: Endpoint, delivery: Delivery, status: int) -> str:
    now = timezone.now()
    _settle(delivery, due_at=None, delivered_at=now, status=status, error="")
    Endpoint.objects.filter(pk=endpoint.pk, failing_since__isnull=False).update(failing_since=None)
    return "delivered"


def _failed(endpoint: Endpoint, delivery: Delivery, status: int | None, error: str) -> str:
    """Try again after a pause; give up the event, or the endpoint, after GIVE_UP_AFTER."""
    now = timezone.now()
    pause = PAUSES[min(delivery.attempts, len(PAUSES)) - 1]
    given_up = now - delivery.created_at > GIVE_UP_AFTER
    _settle(delivery, due_at=None if given_up else now + pause, status=status, error=error)
    own = Endpoint.objects.filter(pk=endpoint.pk)
    own.filter(failing_since=None).update(failing_since=now)
    if status == GONE:
        return _disable(endpoint, "It answered 410 Gone.")
    since: datetime | None = own.values_list("failing_since", flat=True).first()
    if since is not None and now - since > GIVE_UP_AFTER:
        return _disable(endpoint, f"It failed for three days, in the end: {error}")
    return "given up" if given_up else "failed"


def _settle(delivery: Delivery, **columns: object) -> None:
    """Unless another process has delivered it, after this one's lease had ended."""
    undelivered = Delivery.objects.filter(pk=delivery.pk, delivered_at=None)
    undelivered.update(**columns)


def _disable(endpoint: Endpoint, reason: str) -> str:
    endpoints.disable(endpoint.pk, reason[:200])
    logger.error("The webhook endpoint %s is disabled: %s", endpoint.pk, reason)
    return "endpoint disabled"
