"""Builder of tax rates."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject


def tax_rate(percentage: float, *, created: int, **fields: Any) -> JsonObject:
    """A tax rate as automatic tax applies it: of a country or state, not editable."""
    return {
        "id": new_id("tax_rate"),
        "object": "tax_rate",
        "active": False,
        "country": None,
        "created": created,
        "description": None,
        "display_name": "Tax",
        "effective_percentage": percentage,
        "flat_amount": None,
        "inclusive": False,
        "jurisdiction": None,
        "jurisdiction_level": "country",
        "livemode": False,
        "metadata": {},
        "percentage": percentage,
        "rate_type": "percentage",
        "state": None,
        "tax_type": "vat",
        **fields,
    }
