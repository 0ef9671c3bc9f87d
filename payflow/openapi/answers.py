"""What every operation answers besides its success: problems, headers, 304."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from payflow.http import versions
from payflow.openapi.autoschema import MAY_BE_NULL
from restapi.problem_codes import PROBLEM_CODES
from restapi.schema import PROBLEMS

Json = dict[str, Any]

PROBLEM_CODES_OF_STATUS = "x-problem-codes"
"""The extension of a response that lists its codes, for programs."""

_TEXT: Json = {"type": "string"}
_FAULT: Json = {
    "type": "object",
    "description": "A fault of the body has a `pointer`, one of the query a `parameter`.",
    "required": ["code", "detail"],
    "properties": {
        "pointer": {**_TEXT, "description": "RFC 6901 pointer into the body."},
        "parameter": {**_TEXT, "description": "The name of the query parameter."},
        "code": {**_TEXT, "description": "Such as `required`, `invalid`, `max_length`."},
        "detail": _TEXT,
    },
}
SCHEMAS: Json = {
    "Problem": {
        "type": "object",
        "description": "Problem details, RFC 9457.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {**_TEXT, "description": "Always `about:blank`: `code` says more."},
            "title": {**_TEXT, "description": "The phrase of the status."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {**_TEXT, "description": "For people; its wording may change."},
            "code": {"$ref": "#/components/schemas/ProblemCode"},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
            "requestId": {**_TEXT, "description": "Of a 500: names it in the server's log."},
        },
    },
    "ProblemCode": {
        "type": "string",
        "enum": sorted(PROBLEM_CODES),
        "description": "docs/errors.md has them in full.\n\n"
        + "\n".join(f"* `{code}` - {PROBLEM_CODES[code].when}" for code in sorted(PROBLEM_CODES)),
    },
    "Fault": _FAULT,
    "Version": {"type": "string", "enum": sorted(versions.KNOWN)},
}
HEADERS: Json = {
    "X-Request-Id": {
        "description": "Names the request in the server's log.",
        "required": True,
        "schema": {**_TEXT, "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    versions.HEADER: {
        "description": "The version that the answer has.",
        "required": True,
        "schema": {**_TEXT, "format": "date"},
    },
    "RateLimit-Policy": {
        "description": "The limit that applies: its name, quota and window in seconds. Sent with "
        "authenticated requests and with failed authentications, unless the limit is switched off.",
        "schema": {**_TEXT, "pattern": '^"[a-z]+";q=[0-9]+;w=[0-9]+$'},
    },
    "RateLimit": {
        "description": "What is left of the limit, and the seconds until it is whole again.",
        "schema": {**_TEXT, "pattern": '^"[a-z]+";r=[0-9]+;t=[0-9]+$'},
    },
    "ETag": {
        "description": "Send it as `If-None-Match` to get a 304 while nothing has changed.",
        "required": True,
        "schema": _TEXT,
    },
    "WWW-Authenticate": {
        "description": "Always `Bearer`.",
        "required": True,
        "schema": {"const": "Bearer", "type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
PARAMETERS: Json = {
    versions.HEADER: {
        "name": versions.HEADER,
        "in": "header",
        "description": "Pins the shape of requests and answers; without it the newest applies.",
        "schema": {"$ref": "#/components/schemas/Version"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of an earlier answer.",
        "schema": _TEXT,
    },
}


def add_answers(result: Json, **_: Any) -> Json:
    """Postprocessing hook."""
    components = result["components"]
    _allow_null(components["schemas"])
    components["schemas"] |= SCHEMAS
    components["headers"] = HEADERS
    components["parameters"] = PARAMETERS
    sent = {code for _, _, operation in operations(result) for code in operation[PROBLEMS]}
    components["examples"] = {
        code: {"summary": PROBLEM_CODES[code].when, "value": example(code)} for code in sorted(sent)
    }
    enums = {
        tuple(schema["enum"]): _ref("schemas", name)
        for name, schema in components["schemas"].items()
        if "enum" in schema
    }
    for path, method, operation in operations(result):
        for parameter in operation.get("parameters", ()):
            values = tuple(parameter["schema"].get("enum", ()))
            parameter["schema"] = enums.get(values, parameter["schema"])
        under_api = path.startswith("/api/")
        statuses = _by_status(operation.pop(PROBLEMS))
        if under_api:
            operation.setdefault("parameters", []).append(_ref("parameters", versions.HEADER))
        if under_api and method == "get" and "200" in operation["responses"]:
            operation["parameters"].append(_ref("parameters", "If-None-Match"))
            operation["responses"]["304"] = {"description": "The client has the newest answer."}
            _add_headers(operation["responses"]["200"], ["ETag"])
        operation["responses"] |= {
            str(status): _problem(status, codes) for status, codes in statuses.items()
        }
        limited = any(
            {"apiKey", "jwt", "serviceToken"} & set(each) for each in operation["security"]
        )
        for status, response in operation["responses"].items():
            response["description"] = response["description"] or HTTPStatus(int(status)).phrase
            _add_headers(response, _headers_of(status, under_api=under_api, limited=limited))
        operation["responses"] = dict(sorted(operation["responses"].items()))
    return result


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """(path, method, operation) of each route and webhook."""
    for path, methods in {**document["paths"], **_webhooks(document)}.items():
        for method, operation in methods.items():
            yield path, method, operation


def example(code: str) -> Json:
    """A problem document with this code."""
    status = PROBLEM_CODES[code].status
    problem: Json = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": PROBLEM_CODES[code].when.replace("`", ""),
        "code": code,
    }
    if code == "validation_failed":
        fault = {"code": "required", "detail": "This field is required."}
        problem["errors"] = [{"pointer": "/title", **fault}]
    elif code == "invalid_parameter":
        fault = {"code": "invalid", "detail": "There is no such parameter."}
        problem["errors"] = [{"parameter": "colour", **fault}]
    elif code == "internal_error":
        problem["requestId"] = "4f1c2a9b7d3e5f60"
    return problem


def _allow_null(schemas: Json) -> None:
    """Write the marked properties as their enum or null."""
    for schema in schemas.values():
        for described in schema.get("properties", {}).values():
            if described.pop(MAY_BE_NULL, False):
                described["oneOf"] = [*described.pop("allOf"), {"type": "null"}]


def _webhooks(document: Json) -> Json:
    """The webhooks by the path that they are posted to."""
    return {"/api/webhooks/stripe": document["webhooks"]["stripeEvent"]}


def _by_status(codes: list[str]) -> dict[int, list[str]]:
    found = defaultdict(list)
    for code in sorted(set(codes)):
        found[PROBLEM_CODES[code].status].append(code)
    return found


def _problem(status: int, codes: list[str]) -> Json:
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}.",
        "content": {
            "application/problem+json": {
                "schema": _ref("schemas", "Problem"),
                "examples": {code: _ref("examples", code) for code in codes},
            }
        },
        PROBLEM_CODES_OF_STATUS: codes,
    }


def _headers_of(status: str, *, under_api: bool, limited: bool) -> list[str]:
    names = ["X-Request-Id"]
    if under_api:
        names.append(versions.HEADER)
    if under_api and (limited or status in ("401", "429")):
        names += ["RateLimit", "RateLimit-Policy"]
    if under_api and status == "401":
        names.append("WWW-Authenticate")
    if under_api and status in ("429", "503"):
        names.append("Retry-After")
    return names


def _add_headers(response: Json, names: list[str]) -> None:
    response.setdefault("headers", {}).update({name: _ref("headers", name) for name in names})


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
