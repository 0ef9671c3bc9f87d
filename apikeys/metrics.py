"""Counts of keys and of checks of them. Each process counts what it does itself."""

from __future__ import annotations

from django.db import transaction
from prometheus_client import Counter

_CHECKS = Counter(
    "payflow_key_verifications", "Answers of /api/api-keys/verify, by result.", ["result"]
)
VERIFIED = _CHECKS.labels("accepted")
REFUSED = _CHECKS.labels("refused")
LIMITED = _CHECKS.labels("limited")

_LOOKUPS = Counter("payflow_key_lookups", "Keys looked up, by where they were found.", ["source"])
CACHE_HIT = _LOOKUPS.labels("cache")
CACHE_MISS = _LOOKUPS.labels("database")

_CHANGES = Counter(
    "payflow_keys", "Keys that were issued, revealed for the first time, or revoked.", ["change"]
)
ISSUED = _CHANGES.labels("issued")
REVEALED = _CHANGES.labels("revealed")
REVOKED = _CHANGES.labels("revoked")


def count_after_commit(*counters: Counter) -> None:
    """Count a change unless the transaction is rolled back."""
    for counter in counters:
        transaction.on_commit(counter.inc)
