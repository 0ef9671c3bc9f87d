"""Decides what an event is told to whom: recorded with its change, then scheduled for delivery."""

from __future__ import annotations

from sandbox.account import API_VERSION, Account
from sandbox.json_types import JsonObject
from sandbox.objects.events import event


def emit(
    account: Account, kind: str, obj: JsonObject, previous: JsonObject | None = None
) -> JsonObject:
    """Record that something happened to an object and have it delivered to everyone concerned."""
    cause = account.cause
    happened = event(
        kind,
        obj,
        created=account.clock.timestamp(),
        api_version=API_VERSION,
        request={"id": cause.request_id, "idempotency_key": cause.idempotency_key},
        previous=previous,
    )
    targets = [*interested_endpoints(account, kind), *account.listeners]
    happened["pending_webhooks"] = len(targets)
    account.store.add(happened)
    for target in targets:
        account.outbox.expect(happened["id"], target)
        for delay in account.switches.send_delays(kind):
            account.schedule.add("deliver", delay=delay, event=happened["id"], target=target)
    return happened


def interested_endpoints(account: Account, kind: str) -> list[str]:
    """The enabled endpoints that ask for events of this type."""
    return [
        endpoint["id"]
        for endpoint in account.store.all("webhook_endpoint")
        if endpoint["status"] == "enabled"
        and ("*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"])
    ]


def settle_delivery(account: Account, event_id: str, target: str) -> None:
    """Note that a target has accepted an event."""
    account.outbox.settle(event_id, target)
    happened = account.store.find(event_id)
    if happened is not None:
        happened["pending_webhooks"] = account.outbox.outstanding(event_id)
        account.store.save(happened)


def forget_target(account: Account, target: str) -> None:
    """Expect nothing more of a target that is gone."""
    for event_id in account.outbox.awaited_by(target):
        settle_delivery(account, event_id, target)


def forget_absent_targets(account: Account) -> None:
    """Expect nothing of what ended with the last process: the CLI's sessions, an endpoint."""
    for target in account.outbox.targets():
        if account.store.find(target) is None:
            forget_target(account, target)
