"""Type of JSON objects; Stripe's objects are plain dicts, exactly as sent."""

from __future__ import annotations

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
