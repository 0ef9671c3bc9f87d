"""Parser of Stripe's form encoding: `a[b]=1`, `a[0]=1` and `a[]=1` become nested values.

Stripe's clients use all three forms. A list is parsed into a dict with the keys "0", "1", …,
because metadata may have such keys too; `Params` reads the dict as a list where a list is expected.
The limits bound the time and the recursion depth that a request can cost.
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
    """Parse a form body or a query string. Raises a 400 if it is malformed."""
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
    """The key that `[]` stands for: the last element if it lacks the next name, else a new one."""
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
