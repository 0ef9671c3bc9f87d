"""Versions of the API, dated: `Payflow-Version`. docs/api-versions.md says what may change."""

CURRENT = "2026-11-26"
"""Of every answer; also the version of the OpenAPI document."""
KNOWN = frozenset({CURRENT})
HEADER = "Payflow-Version"
