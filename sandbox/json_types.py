"""Decides how Stripe's objects are held: as plain JSON objects, exactly as they go on the wire."""

from __future__ import annotations

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
