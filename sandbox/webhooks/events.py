"""Emits events: stores them in the current transaction and schedules their delivery."""

from __future__ import annotations

from sandbox.account import API_VERSION, Account
from sandbox.json_types import JsonObject
from sandbox.objects.events import event


def emit(
    account: Account, kind: str, obj: JsonObject, previous: JsonObject | None = None
) -> JsonObject:
    """Store an event of an object and schedule its delivery to every subscriber."""
    cause = account.cause
    happened = event(
        kind,
        obj,
        created=account.clock.timestamp(),
        api_version=API_VERSION,
        request={"id": cause.request_id, "idempotency_key": cause.idempotency_key},
        previous=previous,
    )
    targets = [*subscribed_endpoints(account, kind), *account.cli_sessions]
    if account.is_muted:
        targets = []
    happened["pending_webhooks"] = len(targets)
    account.store.add(happened)
    for target in targets:
        account.outbox.add_pending(happened["id"], target)
        for delay in account.switches.send_delays(kind):
            account.jobs.add("deliver", delay=delay, event=happened["id"], target=target)
    return happened


def subscribed_endpoints(account: Account, kind: str) -> list[str]:
    """Ids of the enabled endpoints that subscribe to this event type."""
    return [
        endpoint["id"]
        for endpoint in account.store.all("webhook_endpoint")
        if endpoint["status"] == "enabled"
        and ("*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"])
    ]


def mark_delivered(account: Account, event_id: str, target: str) -> None:
    """Record that a target accepted an event."""
    account.outbox.mark_accepted(event_id, target)
    happened = account.store.find(event_id)
    if happened is not None:
        happened["pending_webhooks"] = account.outbox.pending_count(event_id)
        account.store.save(happened)


def drop_target(account: Account, target: str) -> None:
    """Drop the pending deliveries of a target that no longer exists."""
    for event_id in account.outbox.pending_events(target):
        mark_delivered(account, event_id, target)


def drop_missing_targets(account: Account) -> None:
    """Drop pending deliveries to targets of an earlier process: CLI sessions, removed endpoints."""
    for target in account.outbox.pending_targets():
        if account.store.find(target) is None:
            drop_target(account, target)
