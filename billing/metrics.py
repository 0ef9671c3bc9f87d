"""Handled events, which each process counts itself, and the result of `check_invariants`."""

from __future__ import annotations

from django.db import transaction
from prometheus_client import Counter, Gauge

_HANDLED = Counter(
    "payflow_events_handled", "Events by type and by the status they got.", ["type", "status"]
)
# The command has its own process: with PROMETHEUS_MULTIPROC_DIR, the last run outlives it.
_BROKEN = Gauge(
    "payflow_invariants_broken",
    "Rules that the last check_invariants found broken.",
    multiprocess_mode="mostrecent",
)
_CHECKED = Gauge(
    "payflow_invariants_checked_timestamp_seconds",
    "When check_invariants last ended, in Unix time.",
    multiprocess_mode="mostrecent",
)


def count_event(event_type: str, status: str) -> None:
    """Count it unless the transaction is rolled back."""
    transaction.on_commit(_HANDLED.labels(event_type, status).inc)


def record_check(*, broken: int) -> None:
    """A run of `check_invariants` has ended and found so many rules broken."""
    _BROKEN.set(broken)
    _CHECKED.set_to_current_time()
