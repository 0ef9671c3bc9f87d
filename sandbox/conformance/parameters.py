"""Writes `api/parameters.json`: the documented parameters of each route.

    python3 parameters.py schema.json > ../api/parameters.json

`schema.json` is written by `schema.mjs` from the types of Stripe's Node library. Only names, types,
choices and nesting are kept. Equal descriptions are stored once and referred to by their index.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_FRACTIONS = frozenset({"percent_off", "percentage", "height", "length", "weight", "width"})
"""Numbers that are not integers; the types of the Node library do not tell."""
_LEFT_OUT = frozenset({"Accounts"})


class Nodes:
    """The descriptions, each stored once."""

    def __init__(self, defs: Json) -> None:
        self.all: list[Json] = []
        self._defs = defs
        self._index: dict[str, int] = {}

    def add(self, schema: Json, name: str) -> int:
        """The index of a description."""
        node = self._node(schema, name)
        key = json.dumps(node, sort_keys=True)
        if key not in self._index:
            self._index[key] = len(self.all)
            self.all.append(node)
        return self._index[key]

    def _node(self, schema: Json, name: str) -> Json:
        node: Json = {}
        for option in self._options(schema):
            if "enum" in option:
                choices = [choice for choice in option["enum"] if choice != ""]
                if choices:
                    node["enum"] = choices
                if len(choices) < len(option["enum"]):
                    node["empty"] = True
            elif option.get("type") == "null":
                node["empty"] = True
            elif option.get("type") == "array":
                node["items"] = self.add(option["items"], name)
            elif option.get("type") == "object":
                self._describe_object(node, option, name)
            elif "type" in option:
                kind = option.get("format", option["type"])
                if kind == "number":
                    kind = "number" if name in _FRACTIONS else "integer"
                node.setdefault("types", []).append(kind)
        return node

    def _describe_object(self, node: Json, schema: Json, name: str) -> None:
        if schema["additional"]:
            node["map"] = self.add(schema["additional"], name)
            return
        node["fields"] = {
            inner: self.add(each, inner) for inner, each in schema["properties"].items()
        }
        if schema["required"]:
            node["required"] = schema["required"]

    def _options(self, schema: Json) -> list[Json]:
        while "$ref" in schema:
            schema = self._defs[schema["$ref"]]
        if "anyOf" not in schema:
            return [schema]
        return [option for each in schema["anyOf"] for option in self._options(each)]


def _add_card_data(nodes: list[Json], card: int) -> None:
    """Add `card` to `payment_method_data`.

    The types leave it out, as card numbers should not be sent; the API takes it, with a token.
    """
    for node in list(nodes):
        fields = node.get("fields", {})
        if {"type", "klarna", "us_bank_account"} <= set(fields) and "card" not in fields:
            types = {**nodes[fields["type"]]}
            types["enum"] = ["card", *types["enum"]]
            fields.update(card=card, type=len(nodes))
            nodes.append(types)


def describe(schema: Json) -> str:
    """The content of `parameters.json` for a schema."""
    nodes = Nodes(schema["defs"])
    routes = {
        f"{route['method']} {route['path']}": (
            nodes.add(route["params"], "") if route["params"] else None
        )
        for route in schema["routes"]
        if route["resource"] not in _LEFT_OUT
    }
    methods = nodes.all[routes["POST /v1/payment_methods"] or 0]
    _add_card_data(nodes.all, methods["fields"]["card"])
    head = json.dumps({"version": schema["version"], "routes": routes}, indent=0)[:-2]
    lines = [json.dumps(node, separators=(",", ":")) for node in nodes.all]
    return f'{head},\n"nodes": [\n' + ",\n".join(lines) + "\n]\n}\n"


def main() -> None:
    """Describe the schema named on the command line."""
    sys.stdout.write(describe(json.loads(Path(sys.argv[1]).read_text())))


if __name__ == "__main__":
    main()
