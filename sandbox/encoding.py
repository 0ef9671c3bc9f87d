"""JSON text of objects: compact in the database, indented in responses and webhooks.

orjson takes a fraction of the time of `json`, but no integer beyond 64 bits, which an amount may
be before its discount. Such an object is written by `json`, with a space in front for `load`.
"""

from __future__ import annotations

import json
from typing import cast

import orjson

from sandbox.json_types import JsonObject


def compact(value: object) -> str:
    """A value as JSON text, for the database."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return " " + json.dumps(value)


def indented(value: object) -> bytes:
    """A value as JSON with two spaces of indentation, as Stripe sends it."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except TypeError:
        return json.dumps(value, indent=2, ensure_ascii=False).encode()


def load(text: str) -> JsonObject:
    """The object of a text that `compact` wrote."""
    return cast(JsonObject, json.loads(text) if text.startswith(" ") else orjson.loads(text))
