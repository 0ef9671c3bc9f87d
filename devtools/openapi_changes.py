"""Changes between two OpenAPI documents that break clients. docs/api-versions.md has the rules.

Only what the documents here use is compared: local references, objects, arrays, enums, bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
# A request must not have to satisfy more than before, so a new value has to be as loose.
UPPER, LOWER = ("maximum", "maxLength"), ("minimum", "minLength")


def breaking_changes(old: Json, new: Json) -> list[str]:
    """A line for each change, in the order of the old document."""
    return list(_Comparison(old, new).changes())


class _Comparison:
    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new

    def changes(self) -> Iterator[str]:
        for path, methods in self.old["paths"].items():
            for method in filter(methods.__contains__, METHODS):
                name = f"{method.upper()} {path}"
                operation = self.new["paths"].get(path, {}).get(method)
                if operation is None:
                    yield f"{name}: removed"
                else:
                    yield from self._operation(name, methods[method], operation)

    def _operation(self, name: str, old: Json, new: Json) -> Iterator[str]:
        for scheme in old.get("security", []):
            if new["security"] and scheme not in new["security"]:
                yield f"{name}: {' and '.join(scheme)} no longer authenticates"
        if new.get("security") and not old.get("security"):
            yield f"{name}: needs authentication"
        yield from self._parameters(name, old, new)
        before, after = _body(old), _body(new)
        if after and not before and new["requestBody"].get("required"):
            yield f"{name}: needs a body"
        if before and after:
            yield from self._schema(f"{name} body", before, after, request=True)
        for status, response in old["responses"].items():
            if not status.startswith("2"):
                continue
            if status not in new["responses"]:
                yield f"{name}: no longer answers {status}"
                continue
            before, after = _body(response), _body(new["responses"][status])
            if before and after:
                yield from self._schema(f"{name} {status}", before, after, request=False)
            elif before:
                yield f"{name} {status}: has no body"
        yield from self._problems(name, old, new)

    def _problems(self, name: str, old: Json, new: Json) -> Iterator[str]:
        known = set(_problem_codes(self.old))
        for code in _codes(new):
            if code not in known:
                yield f"{name}: new problem code {code}"

    def _parameters(self, name: str, old: Json, new: Json) -> Iterator[str]:
        before, after = self._by_name(self.old, old), self._by_name(self.new, new)
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{name}: parameter {key} is required"
        for key, parameter in before.items():
            if key not in after:
                yield f"{name}: parameter {key} is removed"
            else:
                where = f"{name} parameter {key}"
                yield from self._schema(
                    where, parameter["schema"], after[key]["schema"], request=True
                )

    def _schema(self, where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
        old, new = _resolved(self.old, old), _resolved(self.new, new)
        types, now = _types(old), _types(new)
        if request and not types <= now:
            yield f"{where}: no longer accepts {', '.join(sorted(types - now))}"
        if not request and not now <= types:
            yield f"{where}: may be {', '.join(sorted(now - types))}"
        yield from self._values(where, old, new, request=request)
        if "items" in old and "items" in new:
            yield from self._schema(f"{where}[]", old["items"], new["items"], request=request)
        yield from self._members(where, old, new, request=request)

    def _values(self, where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
        before, after = old.get("enum"), new.get("enum")
        if request and after and (not before or set(before) - set(after)):
            yield f"{where}: accepts fewer values"
        if not request and before and (not after or set(after) - set(before)):
            yield f"{where}: has new values"
        if not request:
            return
        for bound in (*UPPER, *LOWER):
            if bound in new and new[bound] != old.get(bound):
                sign = 1 if bound in UPPER else -1
                if bound not in old or sign * new[bound] < sign * old[bound]:
                    yield f"{where}: {bound} is {new[bound]}"
        if new.get("pattern") not in (None, old.get("pattern")):
            yield f"{where}: another pattern"

    def _members(self, where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
        required, now = set(old.get("required", ())), set(new.get("required", ()))
        for member in sorted(now - required) if request else sorted(required - now):
            yield f"{where}.{member}: is {'required' if request else 'not always there'}"
        for member, schema in old.get("properties", {}).items():
            if member not in new.get("properties", {}):
                yield f"{where}.{member}: removed"
            else:
                inner = new["properties"][member]
                yield from self._schema(f"{where}.{member}", schema, inner, request=request)

    @staticmethod
    def _by_name(document: Json, operation: Json) -> dict[str, Json]:
        found = [_resolved(document, each) for each in operation.get("parameters", ())]
        return {each["name"]: each for each in found}


def _body(holder: Json) -> Json | None:
    """The schema of a JSON body."""
    content = holder.get("requestBody", holder).get("content", {})
    schema: Json | None = content.get("application/json", {}).get("schema")
    return schema


def _codes(operation: Json) -> Iterator[str]:
    for response in operation["responses"].values():
        yield from response.get("x-problem-codes", ())


def _problem_codes(document: Json) -> Iterator[str]:
    yield from document["components"]["schemas"]["ProblemCode"]["enum"]


def _resolved(document: Json, schema: Json) -> Json:
    """Follow a local reference, also one that stands alone in `allOf` or beside null."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    for combination in ("allOf", "oneOf", "anyOf"):
        if combination in schema:
            parts = [_resolved(document, each) for each in schema[combination]]
            types = set().union(*(_types(each) for each in parts))
            merged = {name: value for each in reversed(parts) for name, value in each.items()}
            return {**merged, "type": sorted(types)}
    return schema


def _types(schema: Json) -> set[str]:
    found = schema.get("type", [])
    return {found} if isinstance(found, str) else set(found)
