"""Valid sample values of documented parameters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sandbox.conformance.validation import Schema
from sandbox.json_types import JsonObject

_STRINGS = {
    "api_version": "2026-10-28.endive", "cancel_url": "http://127.0.0.1:9/no", "country": "AT",
    "currency": "usd", "customer_email": "a@example.com", "delivery_success": "true",
    "email": "a@example.com", "invoice_prefix": "ABCD", "ip_address": "127.0.0.1",
    "locale": "de", "payment_method_types": "card", "percent_off": "25",
    "phone": "+4366012345", "preferred_locales": "de", "price": "price_sandbox_premium",
    "receipt_email": "a@example.com", "return_url": "http://127.0.0.1:9/back",
    "success_url": "http://127.0.0.1:9/ok", "tax_code": "txcd_10000000",
    "terms_of_service_url": "http://127.0.0.1:9/", "type": "card",
    "unit_amount_decimal": "1500", "url": "http://127.0.0.1:9/hook",
}  # fmt: skip
_NUMBERS: JsonObject = {
    "amount": 2000, "amount_off": 300, "balance": 0, "created": {"gte": 1},
    "duration_in_months": 3, "limit": 3, "next_invoice_sequence": 1, "percent_off": 25,
    "quantity": 1, "unit_amount": 1500,
}  # fmt: skip


class Samples:
    """Makes a sample value for a schema; known ids are taken by the parameter's name."""

    def __init__(self, schema: Schema, known: Mapping[str, Any]) -> None:
        self._schema = schema
        self._known = known

    def of(self, described: JsonObject, name: str) -> Any:
        """A sample value of a parameter."""
        described = self._chosen(self._schema.resolve(described))
        if "enum" in described:
            return next(choice for choice in described["enum"] if choice != "")
        kind = described.get("type")
        if kind == "array":
            return [self.of(described["items"], name)]
        if kind == "object":
            return self._hash(described)
        if kind == "number":
            return _moment() if name.endswith(_MOMENTS) else _NUMBERS.get(name, 1)
        return True if kind == "boolean" else self._known.get(name) or _STRINGS.get(name, "text")

    def _chosen(self, described: JsonObject) -> JsonObject:
        """Of several alternatives the first that is not empty; an enumeration if there is one."""
        if "anyOf" not in described:
            return described
        options = [self._schema.resolve(option) for option in described["anyOf"]]
        options = [o for o in options if o.get("type") != "null" and o.get("enum") != [""]]
        return self._chosen(min(options, key=lambda option: "enum" not in option))

    def _hash(self, described: JsonObject) -> JsonObject:
        if described["additional"]:
            return self._map(described["additional"])
        properties = described["properties"]
        names = described["required"] or list(properties)[:1]
        return {name: self.of(properties[name], name) for name in names}

    def _map(self, described: JsonObject) -> JsonObject:
        if self._schema.resolve(described).get("type") == "object":
            return {"eur": self.of(described, "eur")}  # the only maps of hashes are by currency
        return {"key": "value"}


_MOMENTS = ("_at", "_by", "_date")


def _moment() -> int:
    return int(time.time()) + 3600
