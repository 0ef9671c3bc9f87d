"""Sends every documented parameter of the served routes, one at a time, and wrong requests.

A documented parameter is used, or refused by a sentence which says that the sandbox does not cover
it. It is never refused as unknown, and never accepted without effect on the field of its name. A
wrong request has an unknown parameter, a value of a wrong type or choice, or lacks a required one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.conformance.base_requests import BaseRequest
from sandbox.conformance.client import Client
from sandbox.conformance.flows.catalog import PRICE
from sandbox.conformance.samples import Samples
from sandbox.conformance.validation import Schema
from sandbox.json_types import JsonObject

_NOT_COVERED = "does not cover"

# Cursors need objects. A hash for each other payment method is one feature, not fifty.
_SKIPPED = {"ending_before", "expand", "starting_after"}
_SKIPPED_IN = {
    "POST /v1/payment_intents": {"confirm", "error_on_requires_action", "off_session"},
}

_KNOWN = "the known id of this name"
# What a parameter needs beside it, and what it excludes.
_BESIDE: dict[tuple[str, str], tuple[JsonObject, tuple[str, ...]]] = {
    ("POST /v1/checkout/sessions", "customer_update"): ({"customer": _KNOWN}, ()),
    ("POST /v1/payment_intents/{}/confirm", "payment_method_data"): ({}, ("payment_method",)),
    ("POST /v1/coupons", "amount_off"): ({"currency": "usd"}, ("percent_off",)),
    ("POST /v1/coupons", "currency"): ({"amount_off": 300}, ("percent_off",)),
    ("POST /v1/coupons", "duration_in_months"): ({"duration": "repeating"}, ()),
    ("POST /v1/prices", "product_data"): ({}, ("product",)),
    ("POST /v1/prices", "transfer_lookup_key"): ({"lookup_key": "moved"}, ()),
    ("POST /v1/prices", "unit_amount_decimal"): ({}, ("unit_amount",)),
    ("POST /v1/refunds", "charge"): ({}, ("payment_intent",)),
}
# Values that the schema does not determine.
_WHOLE_VALUES: dict[tuple[str, str], Any] = {
    ("POST /v1/checkout/sessions", "custom_fields"): [
        {"key": "size", "label": {"custom": "Size", "type": "custom"}, "type": "text"}
    ],
    ("POST /v1/checkout/sessions", "line_items"): [{"price": PRICE, "quantity": 1}],
    ("POST /v1/checkout/sessions", "shipping_options"): [
        {
            "shipping_rate_data": {
                "display_name": "Post",
                "fixed_amount": {"amount": 500, "currency": "usd"},
                "type": "fixed_amount",
            }
        }
    ],
    ("POST /v1/customers", "source"): "tok_visa",
    ("POST /v1/payment_intents/{}/confirm", "excluded_payment_method_types"): ["us_bank_account"],
    ("POST /v1/payment_methods", "card"): {"token": "tok_visa"},
    ("POST /v1/prices", "currency_options"): {"eur": {"unit_amount": 1400}},
    ("POST /v1/prices/{}", "currency_options"): {"eur": {"unit_amount": 1400}},
    ("POST /v1/prices", "lookup_key"): "another",
    ("POST /v1/products", "default_price_data"): {"currency": "usd", "unit_amount": 900},
}
# Decimals and moments: Stripe documents no error code for them.
_NOT_INTEGERS = {"created", "due_by", "expires_at", "percent_off", "redeem_by"}


@dataclass(frozen=True)
class Finding:
    """A parameter or wrong request that is not handled as Stripe does."""

    route: str
    what: str
    text: str


@dataclass
class ParameterReport:
    """Counts, and what is not as it should be."""

    documented: int = 0
    used: int = 0
    not_covered: int = 0
    wrong_requests: int = 0
    refused: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Wrong:
    """A wrong request: parameters added to the base request, and one left out."""

    what: str
    added: JsonObject
    without: tuple[str, ...] = ()
    code: str | None = None


def check_parameters(
    client: Client, schema: Schema, routes: Sequence[BaseRequest]
) -> ParameterReport:
    """Check every route."""
    report = ParameterReport()
    described = {f"{route['method']} {route['path']}": route for route in schema.routes}
    for request in routes:
        params = described[request.route]["params"]
        if params is not None:
            _RouteCheck(client, schema, request, schema.resolve(params), report).run()
    return report


class _RouteCheck:
    """Checks the parameters of one route."""

    def __init__(
        self,
        client: Client,
        schema: Schema,
        request: BaseRequest,
        params: JsonObject,
        report: ParameterReport,
    ) -> None:
        self._client = client
        self._schema = schema
        self._request = request
        self._params: dict[str, JsonObject] = params["properties"]
        self._required: list[str] = params["required"]
        self._samples = Samples(schema, request.values)
        self._report = report
        self._used: JsonObject = {}
        self._refused: set[str] = set()

    def run(self) -> None:
        skipped = _SKIPPED | _SKIPPED_IN.get(self._request.route, set())
        for name, described in self._params.items():
            if name not in skipped and not self._is_other_method(name):
                self._check_documented(name, described)
        for wrong in self._wrong_requests():
            if next(iter(wrong.added), None) not in self._refused:
                self._check_wrong(wrong)

    def _is_other_method(self, name: str) -> bool:
        """Whether a parameter of payment methods is the hash of a type other than card."""
        if self._request.route != "POST /v1/payment_methods":
            return False
        types = self._schema.resolve(self._params["type"]).get("enum", [])
        return name != "card" and (name in types or name == "interac_present")

    def _check_documented(self, name: str, described: JsonObject) -> None:
        self._report.documented += 1
        value = self._value(name, described)
        answer = self._send({name: value})
        error = answer.get("error")
        if error and _NOT_COVERED in error["message"]:
            self._report.not_covered += 1
            self._refused.add(name)
        elif error:
            self._refused.add(name)
            self._find(name, f"refused: {error['message'][:150]}")
        elif self._request.method == "POST" and not _shows(answer, name, value):
            self._find(name, f"without effect: sent {value!r}, got {answer[name]!r}")
        else:
            self._report.used += 1
            self._used[name] = value

    def _value(self, name: str, described: JsonObject) -> Any:
        if (whole := _WHOLE_VALUES.get((self._request.route, name))) is not None:
            return whole
        if name in self._request.values:
            made = self._request.values[name]
            return made() if callable(made) else made
        return self._samples.of(described, name)

    def _send(self, added: JsonObject, without: tuple[str, ...] = ()) -> JsonObject:
        also, excluded = _BESIDE.get((self._request.route, next(iter(added), "")), ({}, ()))
        known = {name: self._request.values[name] for name in also if also[name] is _KNOWN}
        params = {**self._request.params(), **also, **known, **added}
        left = {name: v for name, v in params.items() if name not in (*without, *excluded)}
        return self._client.request(self._request.method, self._request.path(), left)

    def _wrong_requests(self) -> Iterator[_Wrong]:
        yield _Wrong("an unknown parameter", {"no_such": "1"}, code="parameter_unknown")
        for name, described in self._params.items():
            yield from _wrong_values(name, self._options(described))
        for name, value in self._used.items():
            nested = _with_unknown(value)
            if nested is not None and name != "metadata":
                yield _Wrong(f"{name}: unknown inside", {name: nested}, code="parameter_unknown")
        for name in self._required:
            yield _Wrong(f"{name}: missing", {}, (name,), "parameter_missing")

    def _options(self, described: JsonObject) -> list[JsonObject]:
        described = self._schema.resolve(described)
        return [self._schema.resolve(option) for option in described.get("anyOf", [described])]

    def _check_wrong(self, wrong: _Wrong) -> None:
        self._report.wrong_requests += 1
        error = self._send(wrong.added, wrong.without).get("error")
        if error is None:
            self._find(wrong.what, "accepted")
        elif wrong.code not in (None, error.get("code")):
            self._find(wrong.what, f"{error.get('code')} instead of {wrong.code}")
        else:
            self._report.refused += 1

    def _find(self, what: str, text: str) -> None:
        self._report.findings.append(Finding(self._request.route, what, text))


def _wrong_values(name: str, options: list[JsonObject]) -> Iterator[_Wrong]:
    types = {option.get("type") for option in options}
    if any("enum" in option and option["enum"] != [""] for option in options):
        if "string" not in types:
            yield _Wrong(f"{name}: not a choice", {name: "no_such_choice"})
    elif "boolean" in types:
        yield _Wrong(f"{name}: not a boolean", {name: "perhaps"})
    elif types == {"number"}:
        code = None if name in _NOT_INTEGERS else "parameter_invalid_integer"
        yield _Wrong(f"{name}: not a number", {name: "many"}, code=code)
    elif "object" in types and not types & {"string", "array", "number"}:
        yield _Wrong(f"{name}: not an object", {name: "text"})
    elif "string" in types:
        yield _Wrong(f"{name}: an object for a string", {name: {"a": "b"}})


def _with_unknown(value: Any) -> Any:
    """The value with an unknown key in its hash, or in the hash of its first element."""
    if isinstance(value, dict):
        return {**value, "no_such": "1"}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [{**value[0], "no_such": "1"}]
    return None


def _shows(answer: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether the answer's field of this name shows the value; True if there is no such field."""
    if name not in answer:
        return True
    got = answer[name]
    if isinstance(value, dict) and isinstance(got, dict):
        return all(_shows(got, key, each) for key, each in value.items())
    if isinstance(value, list) and isinstance(got, list):
        return len(got) >= len(value)
    if isinstance(got, dict) and "id" in got:
        got = got["id"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return isinstance(got, int | float) and float(got) == float(value)
    return str(got).lower() == str(value).lower() or str(value) in json.dumps(got)
