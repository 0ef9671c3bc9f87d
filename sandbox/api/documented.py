"""Documented parameters of Stripe's routes: checks a request's names, types and choices.

`parameters.json` holds them, as Stripe's own libraries describe them for the pinned API version;
`conformance/parameters.py` writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

from sandbox.errors import (
    ApiError,
    invalid,
    parameter_invalid_empty,
    parameter_missing,
    parameter_unknown,
)
from sandbox.json_types import JsonObject
from sandbox.params import as_list, invalid_choice_message

_FILE = Path(__file__).with_name("parameters.json")
_INTEGER = re.compile(r"-?\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,12})?", re.ASCII)

_ACCEPTED_UNTIL = {
    ("POST /v1/checkout/sessions", "payment_method_types"): "2026-09-30",
    ("POST /v1/payment_intents", "payment_method_types"): "9999",
    ("POST /v1/payment_intents/{}", "payment_method_types"): "9999",
    ("POST /v1/payment_intents/{}/confirm", "payment_method_types"): "9999",
    ("POST /v1/setup_intents", "payment_method_types"): "9999",
    ("POST /v1/setup_intents/{}", "payment_method_types"): "9999",
    ("POST /v1/payment_links", "payment_method_types"): "9999",
    ("POST /v1/customers", "coupon"): "2025-03-31",
    ("POST /v1/customers/{}", "coupon"): "2025-03-31",
    ("POST /v1/promotion_codes", "coupon"): "2025-09-30",
}
"""Parameters that the pinned version's libraries lack, with the API version that removed them.

A request without a version, as Stripe's CLI sends it, may use them all. The types of payment
intents lack `payment_method_types`, but no change log says that the API refuses it.
"""
_STANDS_FOR = {"coupon": "promotion"}
"""The required parameter that an older one makes superfluous."""


def is_documented(route: str) -> bool:
    """Whether Stripe documents a route, written as `GET /v1/events/{}`."""
    return route in _description()["routes"]


def check_parameters(route: str, values: JsonObject, *, version: str) -> None:
    """Check the parameters of a documented route. Raises Stripe's error for the first fault."""
    index = _description()["routes"][route]
    root: JsonObject = {"fields": {}} if index is None else _nodes()[index]
    checked, required = dict(values), list(root.get("required", ()))
    for name, value in values.items():
        if version < _ACCEPTED_UNTIL.get((route, name), ""):
            del checked[name]
            required = [each for each in required if each != _STANDS_FOR.get(name)]
        elif route.endswith("{}") and _unsets_text(root, name, value):
            # An update unsets a text by an empty value, also where the types do not say so.
            del checked[name]
    if not version:
        checked = _without_cli_values(checked)
    _check_fields({**root, "required": required}, checked, "")


def _without_cli_values(values: JsonObject) -> JsonObject:
    """The parameters without one that Stripe's CLI 1.52.0 sends and no documentation has."""
    options = values.get("payment_method_options")
    if options != _CLI_TRANSFER:
        return values
    return {name: value for name, value in values.items() if name != "payment_method_options"}


_CLI_TRANSFER = {
    "customer_balance": {
        "bank_transfer": {"type": "jp_bank_account"},
        "funding_type": "bank_transfer",
    }
}
"""Options of `stripe trigger payment_intent.partially_funded`."""


def _unsets_text(root: JsonObject, name: str, value: object) -> bool:
    index = root["fields"].get(name)
    return value == "" and index is not None and "string" in _nodes()[index].get("types", ())


def _check_fields(node: JsonObject, values: JsonObject, path: str) -> None:
    named = {key: f"{path}[{key}]" if path else key for key in values}
    if unknown := [named[key] for key in values if key not in node["fields"]]:
        raise parameter_unknown(*unknown)
    for key, value in values.items():
        _check(_nodes()[node["fields"][key]], value, named[key])
    for key in node.get("required", ()):
        if key not in values:
            raise parameter_missing(f"{path}[{key}]" if path else key)


def _check(node: JsonObject, value: object, name: str) -> None:
    if value == "":
        if not node.get("empty"):
            raise parameter_invalid_empty(name)
    elif isinstance(value, dict):
        _check_nested(node, value, name)
    elif not any(check(str(value)) for check in _scalar_checks(node)):
        raise _wrong_scalar(node, str(value), name)


def _check_nested(node: JsonObject, value: JsonObject, name: str) -> None:
    items = as_list(value)
    if "items" in node and isinstance(items, list):
        for index, item in enumerate(items):
            _check(_nodes()[node["items"]], item, f"{name}[{index}]")
    elif "fields" in node:
        _check_fields(node, value, name)
    elif "map" in node:
        for key, each in value.items():
            if each != "":
                _check(_nodes()[node["map"]], each, f"{name}[{key}]")
    else:
        kind = "array" if "items" in node else "string"
        raise invalid(f"Invalid {kind}", param=name)


def _scalar_checks(node: JsonObject) -> list[Callable[[str], object]]:
    checks: list[Callable[[str], object]] = [_SCALARS[kind] for kind in node.get("types", ())]
    if choices := node.get("enum"):
        checks.append(choices.__contains__)
    return checks


def _wrong_scalar(node: JsonObject, value: str, name: str) -> ApiError:
    if choices := node.get("enum"):
        return invalid(invalid_choice_message(name, choices), param=name)
    types = node.get("types", ())
    if "integer" in types:
        return invalid(
            f"Invalid integer: {value[:40]}", param=name, code="parameter_invalid_integer"
        )
    kind = types[0] if types else "array" if "items" in node else "object"
    shown = f": {value[:40]}" if types else ""
    return invalid(f"Invalid {kind}{shown}", param=name)


_SCALARS: dict[str, Callable[[str], object]] = {
    "string": lambda value: True,
    "boolean": {"true", "false", "1", "0"}.__contains__,
    "integer": _INTEGER.fullmatch,
    "number": _NUMBER.fullmatch,
    "decimal": _NUMBER.fullmatch,
}


@cache
def _description() -> JsonObject:
    return cast(JsonObject, json.loads(_FILE.read_text()))


def _nodes() -> list[JsonObject]:
    return cast(list[JsonObject], _description()["nodes"])
