"""Compares recorded responses and events with the schema that `schema.mjs` writes.

Every object with an `object` field counts, wherever it is: in a list, expanded, in an event. It
conforms if it has every required field, no unknown field, and no value of a wrong type or outside
of its enumeration. Open enumerations count as closed: Stripe sends nothing else today.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.conformance.client import Recording, Response
from sandbox.json_types import JsonObject

_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
_TYPES: dict[str, Any] = {
    "null": type(None),
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "array": list,
    "object": dict,
}


@dataclass(frozen=True)
class Deviation:
    """A difference from the schema, in one field of one kind of object."""

    kind: str
    path: str
    what: str
    text: str = field(compare=False)


@dataclass
class Report:
    """Objects compared and objects that conform, by kind; deviations with an example each."""

    total: Counter[str] = field(default_factory=Counter)
    conforming: Counter[str] = field(default_factory=Counter)
    deviations: Counter[Deviation] = field(default_factory=Counter)
    private: set[str] = field(default_factory=set)
    """Routes that the schema does not have, so their responses are not compared."""

    def add(self, walk: _Walk, where: str) -> None:
        """Count the objects and deviations of one response or event."""
        for identity, kind in walk.objects:
            self.total[kind] += 1
            self.conforming[kind] += identity not in walk.faulty
        for deviation in walk.deviations:
            self.deviations[
                Deviation(
                    deviation.kind, deviation.path, deviation.what, f"{deviation.text} ({where})"
                )
            ] += 1

    @property
    def conforms(self) -> bool:
        """Whether every object conforms."""
        return not self.deviations and self.conforming.total() == self.total.total()


class Schema:
    """The description of Stripe's API: objects, responses of routes, objects of events."""

    def __init__(self, schema: JsonObject) -> None:
        self.defs: dict[str, JsonObject] = schema["defs"]
        self.version = str(schema["version"])
        self.routes: list[JsonObject] = schema["routes"]
        self._events: dict[str, JsonObject] = schema["events"]
        self._patterns: list[tuple[JsonObject, re.Pattern[str]]] = [
            (route, re.compile(re.escape(route["path"]).replace(r"\{\}", "[^/]+")))
            # `/v1/products/search` is not the id of a product: fixed paths come first.
            for route in sorted(self.routes, key=lambda route: str(route["path"]).count("{}"))
        ]
        self._error = self._error_schema()

    def compare(self, recording: Recording) -> Report:
        """Compare a whole recording."""
        report = Report()
        for response in recording.responses:
            self._compare_response(report, response)
        for event in recording.events:
            self._compare_event(report, event)
        return report

    def resolve(self, schema: JsonObject) -> JsonObject:
        """Follow references to the definition."""
        while "$ref" in schema:
            schema = self.defs[schema["$ref"]]
        return schema

    def _compare_response(self, report: Report, response: Response) -> None:
        where = f"{response.method} {response.path}"
        walk = _Walk(self)
        if response.status >= 400:
            walk.compare(response.body, self._error, _Position("error", id(response.body)))
            walk.objects.append((id(response.body), "error"))
        elif route := self._route(response):
            walk.compare(response.body, route["answer"], _Position("response"))
        else:
            report.private.add(where)
        report.add(walk, where)

    def _compare_event(self, report: Report, event: JsonObject) -> None:
        walk = _Walk(self)
        known = self._events.get(event["type"])
        if known is None:
            walk.report(_Position("event"), "type", f"there is no event type {event['type']}")
        else:
            walk.compare(event, known["event"], _Position("event"))
        report.add(walk, f"event {event['type']}")

    def _route(self, response: Response) -> JsonObject | None:
        for route, pattern in self._patterns:
            if route["method"] == response.method and pattern.fullmatch(response.path):
                return route
        return None

    def _error_schema(self) -> JsonObject:
        """An error has the fields of `last_payment_error`, and two that only responses have."""
        error = copy.deepcopy(self.defs["PaymentIntent.LastPaymentError"])
        error["properties"]["payment_intent"] = {"$ref": "PaymentIntent"}
        error["properties"]["request_log_url"] = {"type": "string"}
        return _object({"error": error})


@dataclass(frozen=True)
class _Position:
    """A place in an object: its kind, its identity and the path of the field."""

    kind: str
    identity: int = 0
    path: str = ""

    def inside(self, name: str) -> _Position:
        separator = "." if self.path and name != "[]" else ""
        return _Position(self.kind, self.identity, f"{self.path}{separator}{name}")


class _Walk:
    """Compares one value with its schema; collects its objects and deviations."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.objects: list[tuple[int, str]] = []
        self.faulty: set[int] = set()
        self.deviations: list[Deviation] = []

    def report(self, at: _Position, what: str, text: str) -> None:
        self.faulty.add(at.identity)
        self.deviations.append(Deviation(at.kind, at.path or "(whole)", what, text))

    def compare(self, value: Any, schema: JsonObject, at: _Position) -> None:
        schema = self._schema.resolve(schema)
        if "list" in schema:
            self.compare(value, _list_schema(schema), at)
        elif "anyOf" in schema:
            self._compare_any(value, schema["anyOf"], at)
        elif "enum" in schema:
            self._compare_choice(value, schema["enum"], at)
        elif "type" in schema:
            self._compare_typed(value, schema, at)

    def _compare_choice(self, value: Any, choices: list[Any], at: _Position) -> None:
        if value not in choices or isinstance(value, bool) != isinstance(choices[0], bool):
            listed = ", ".join(map(str, choices[:8]))
            self.report(at, "choice", f"{value!r} is not one of {listed}")

    def _compare_typed(self, value: Any, schema: JsonObject, at: _Position) -> None:
        kind = schema["type"]
        if not isinstance(value, _TYPES[kind]) or (kind == "number" and isinstance(value, bool)):
            self.report(at, "type", f"{type(value).__name__} instead of {kind}")
        elif kind == "object":
            self._compare_object(value, schema, at)
        elif kind == "array":
            for item in value:
                self.compare(item, schema["items"], at.inside("[]"))
        elif schema.get("format") == "decimal" and not _DECIMAL.fullmatch(value):
            self.report(at, "type", f"{value!r} is not a decimal")

    def _compare_any(self, value: Any, options: list[JsonObject], at: _Position) -> None:
        """Compare with the alternative that fits best."""
        walks = []
        for option in self._fitting(value, list(self._flat(options))):
            walk = _Walk(self._schema)
            walk.compare(value, option, at)
            walks.append(walk)
        best = min(walks, key=lambda walk: len(walk.deviations))
        self.objects += best.objects
        self.faulty |= best.faulty
        self.deviations += best.deviations

    def _flat(self, options: list[JsonObject]) -> Iterator[JsonObject]:
        for option in map(self._schema.resolve, options):
            if "anyOf" in option:
                yield from self._flat(option["anyOf"])
            else:
                yield option

    def _fitting(self, value: Any, options: list[JsonObject]) -> list[JsonObject]:
        """The alternatives for objects whose `object` or `type` field is the value's own."""
        if not isinstance(value, dict):
            return options
        fitting = [o for o in options if o.get("type") == "object" or "list" in o] or options
        for name in ("object", "type"):
            fitting = [o for o in fitting if value.get(name) in self._choices(o, name)] or fitting
        return fitting

    def _choices(self, option: JsonObject, name: str) -> list[Any]:
        described = self._schema.resolve(option.get("properties", {}).get(name, {}))
        choices: list[Any] = described.get("enum", [])
        return choices

    def _compare_object(self, value: JsonObject, schema: JsonObject, at: _Position) -> None:
        properties = schema["properties"]
        if isinstance(value.get("object"), str) and "object" in properties:
            at = _Position(value["object"], id(value))
            self.objects.append((id(value), value["object"]))
        for name in schema["required"]:
            if name not in value:
                self.report(at.inside(name), "missing", "required")
        for name, each in value.items():
            if name == "previous_attributes":
                self._compare_previous(each, properties["object"], at)
            elif name in properties:
                self.compare(each, properties[name], at.inside(name))
            elif schema["additional"] is False:
                self.report(at.inside(name), "unknown", json.dumps(each)[:60])
            else:
                self.compare(each, schema["additional"], at.inside("*"))

    def _compare_previous(self, value: JsonObject, schema: JsonObject, at: _Position) -> None:
        """Compare the names only: previous attributes are parts of fields."""
        known = self._schema.resolve(schema).get("properties", value)
        for name in value:
            if name not in known:
                self.report(
                    at.inside(f"data.previous_attributes.{name}"), "unknown", "no such field"
                )


def _object(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in _OPTIONAL_IN_LISTS],
        "additional": False,
    }


_OPTIONAL_IN_LISTS = frozenset({"next_page", "total_count"})


def _list_schema(schema: JsonObject) -> JsonObject:
    search = bool(schema.get("search"))
    properties: JsonObject = {
        "object": {"enum": ["search_result" if search else "list"]},
        "data": {"type": "array", "items": schema["list"]},
        "has_more": {"type": "boolean"},
        "url": {"type": "string"},
    }
    if search:
        properties["next_page"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
        properties["total_count"] = {"type": "number"}
    return _object(properties)
