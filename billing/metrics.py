"""Counts of handled events. Each process counts what it does itself."""

from __future__ import annotations

from django.db import transaction
from prometheus_client import Counter

_HANDLED = Counter(
    "payflow_events_handled", "Events by type and by the status they got.", ["type", "status"]
)


def count_event(event_type: str, status: str) -> None:
    """Count it unless the transaction is rolled back."""
    transaction.on_commit(_HANDLED.labels(event_type, status).inc)
