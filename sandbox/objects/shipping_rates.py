"""Builder of shipping rates."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject


def shipping_rate(display_name: str, *, created: int, **fields: Any) -> JsonObject:
    """A shipping rate with a fixed amount."""
    return {
        "id": new_id("shipping_rate"),
        "object": "shipping_rate",
        "active": True,
        "created": created,
        "delivery_estimate": None,
        "display_name": display_name,
        "livemode": False,
        "metadata": {},
        "tax_behavior": "unspecified",
        "tax_code": None,
        "type": "fixed_amount",
        **fields,
    }
