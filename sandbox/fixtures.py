"""Fixtures: objects to create, in the format of `stripe fixtures`.

Stripe docs: https://docs.stripe.com/cli/fixtures. A file has a list of requests. A later one refers
to the answer of an earlier one: `${product:id}`, `${list:data.0.id}`, with a default after `|`; and
to environment variables: `${.env:NAME}`. So the same file works with Stripe.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sandbox.api.parsers import parse_form
from sandbox.errors import ApiError, CardError
from sandbox.json_types import JsonObject

_REFERENCE = re.compile(r"\$\{([\w.-]+):([\w.-]+)(?:\|([^}]*))?\}")
_METHODS = frozenset({"GET", "POST", "DELETE"})

Call = Callable[[str, str, JsonObject], JsonObject]
"""Runs an API request: method, path and parameters."""


class FixtureError(Exception):
    """A fixture cannot be read or its request is refused."""


def read_fixtures(path: Path) -> JsonObject:
    """Read a file of fixtures. Raises FixtureError."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FixtureError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise FixtureError(f"cannot read {path}: it is not a JSON object")
    return content


def fingerprint(content: JsonObject) -> str:
    """A hash of fixtures, to see whether they were loaded before."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_fixtures(content: JsonObject, call: Call) -> dict[str, JsonObject]:
    """Run the requests of fixtures in order. Returns the answers by name. Raises FixtureError."""
    fixtures = content.get("fixtures")
    if not isinstance(fixtures, list):
        raise FixtureError('fixtures have a list named "fixtures"')
    answers: dict[str, JsonObject] = {}
    for index, fixture in enumerate(fixtures):
        name = str(fixture.get("name") or index) if isinstance(fixture, dict) else str(index)
        try:
            answers[name] = _run(fixture, answers, call)
        except (ApiError, FixtureError, TypeError, AttributeError) as error:
            raise FixtureError(f"fixture {name[:60]!r}: {error}") from error
    return answers


def _run(fixture: JsonObject, answers: Mapping[str, JsonObject], call: Call) -> JsonObject:
    method = str(fixture.get("method", "post")).upper()
    path = _resolved(fixture.get("path", ""), answers)
    if method not in _METHODS or not str(path).startswith("/v1/"):
        raise FixtureError("a fixture has a method (get, post or delete) and a path below /v1/")
    params = _resolved(fixture.get("params") or {}, answers)
    values = parse_form(urlencode(list(_flatten(params))))
    try:
        return call(method, str(path), values)
    except CardError as error:
        if fixture.get("expected_error_type") == error.kind:
            return {"error": {"type": error.kind, "code": error.code}}
        raise


def _resolved(value: Any, answers: Mapping[str, JsonObject]) -> Any:
    if isinstance(value, dict):
        return {name: _resolved(each, answers) for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, answers) for each in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _referenced(match, answers), value)
    return value


def _referenced(match: re.Match[str], answers: Mapping[str, JsonObject]) -> str:
    name, field, default = match.groups()
    found = os.environ.get(field) if name == ".env" else _field(answers.get(name), field)
    if found is None:
        found = default
    if found is None:
        raise FixtureError(f"there is nothing for {match[0]}")
    return str(found)


def _field(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Stripe's form encoding: `a[b]`, `a[0]`. A name may be encoded already."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in pairs:
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(each, dict | list):
            yield from _flatten(each, name) if each else [(name, "")]
        elif isinstance(each, bool):
            yield name, "true" if each else "false"
        else:
            yield name, "" if each is None else str(each)
