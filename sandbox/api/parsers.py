"""Decides how form encoding becomes nested values: `a[b]`, `a[0]` and `a[]`, within limits.

Stripe's clients use all three spellings. A list is an object with numbers for names here, since
metadata may have such names too: what it is, whoever reads the parameter knows. The limits keep
hostile input from costing time or depth.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from sandbox.errors import ApiError, invalid
from sandbox.json_types import JsonObject

MAX_FIELDS = 2000
MAX_DEPTH = 8
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_SEGMENT = re.compile(r"\[([^\[\]]*)\]")


def parse_form(encoded: str | bytes) -> JsonObject:
    """The nested values of a form body or a query string. Raises a 400 for what is not one."""
    try:
        text = encoded.decode("ascii") if isinstance(encoded, bytes) else encoded
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise _not_a_form() from error
    root: JsonObject = {}
    for name, value in pairs:
        _insert(root, name, value)
    return root


def _not_a_form() -> ApiError:
    return invalid(
        "Invalid request (check that your POST content type is application/x-www-form-urlencoded). "
        "If you have any questions, we can help at https://support.stripe.com/."
    )


def _insert(root: JsonObject, name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        raise invalid(f"Invalid parameter name: {name[:100]}")
    path = [match[1], *_SEGMENT.findall(match[2])]
    if len(path) > MAX_DEPTH:
        raise invalid(f"Parameters are nested too deeply: {name[:100]}")
    here = root
    for index, segment in enumerate(path[:-1]):
        here = _descend(here, _position(here, segment, path[index + 1 :]), name)
    here[_position(here, path[-1], [])] = value


def _position(here: JsonObject, segment: str, rest: list[str]) -> str:
    """Where `[]` points: the last element while it lacks the next name, else a new one."""
    if segment:
        return segment
    last = str(len(here) - 1)
    element = here.get(last)
    if rest and rest[0] and isinstance(element, dict) and rest[0] not in element:
        return last
    return str(len(here))


def _descend(here: JsonObject, key: str, name: str) -> JsonObject:
    inner = here.setdefault(key, {})
    if not isinstance(inner, dict):
        raise invalid(f"Invalid parameter: {name[:100]} is both a value and an object.")
    return inner
