"""The operations of views that are not DRF's: gateway, webhook, health checks, metrics."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, reverse

from payflow.openapi.autoschema import OF_AUTHENTICATION
from restapi.schema import PROBLEMS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_ID: Json = {"type": "string", "pattern": "^[1-9][0-9]*$"}

SCHEMES: Json = {
    "stripeSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Stripe-Signature",
        "description": "HMAC-SHA256 of the time and the body, as Stripe signs its webhooks.",
    },
    "metricsToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The value of `METRICS_TOKEN`.",
    },
}
SCHEMAS: Json = {
    "Event": {
        "type": "object",
        "description": "An event of Stripe's. Only these members are read; all are stored.",
        "required": ["id", "object", "type", "data"],
        "properties": {
            "id": {**_TEXT, "pattern": "^evt_"},
            "object": {"const": "event", "type": "string"},
            "type": {**_TEXT, "description": "docs/events.md lists those that change something."},
            "api_version": {"type": ["string", "null"]},
            "created": {"type": "integer", "description": "Unix time."},
            "livemode": {"type": "boolean"},
            "data": {
                "type": "object",
                "required": ["object"],
                "properties": {"object": {"type": "object", "description": "The changed object."}},
            },
        },
    },
    "Received": {
        "type": "object",
        "required": ["received"],
        "properties": {"received": {"type": "boolean"}},
    },
    "Health": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {**_TEXT, "description": "`ok`, or what is wrong."},
            "checks": {
                "type": "object",
                "additionalProperties": _TEXT,
                "description": "The result of each check.",
            },
        },
    },
}


def add_plain_views(result: Json, **_: Any) -> Json:
    """Postprocessing hook. A route that does not exist here is left out."""
    result["components"]["schemas"] |= SCHEMAS
    operations = {
        "verify": verify(),
        "healthz": healthz(),
        "readyz": readyz(),
        "metrics": metrics(),
    }
    for name, operation in operations.items():
        try:
            result["paths"][reverse(name)] = {"get": operation}
        except NoReverseMatch:
            del operation
    used = str(result["paths"]) + "stripeSignature"
    result["components"]["securitySchemes"] |= {
        name: scheme for name, scheme in SCHEMES.items() if name in used
    }
    result["webhooks"] = {
        "stripeEvent": {"post": stripe_event()},
        "serviceEvent": {"post": service_event()},
    }
    return result


def verify() -> Json:
    headers = {
        "X-User-Id": ("The id of the key's user.", _ID),
        "X-Key-Id": ("The id of the key.", _ID),
        "X-Key-Name": ("The key's name, percent-encoded.", _TEXT),
        "X-Tier": ("The tier of the key, percent-encoded.", _TEXT),
    }
    described = {
        name: {"description": text, "required": True, "schema": schema}
        for name, (text, schema) in headers.items()
    }
    return {
        "operationId": "api_keys_verify",
        "summary": "Check an API key",
        "description": "For gateways (nginx `auth_request`, Caddy `forward_auth`, Envoy): whether "
        "the request's API key works, and whose it is. Any method does; below this path the "
        "answer is 200 instead of 204.",
        "tags": ["api-keys"],
        "security": [{"apiKey": []}],
        "responses": {"204": {"description": "The key works.", "headers": described}},
        PROBLEMS: sorted(
            {
                *OF_AUTHENTICATION,
                "bad_host",
                "bad_request",
                "database_unavailable",
                "internal_error",
            }
        ),
    }


def stripe_event() -> Json:
    return {
        "operationId": "stripe_event",
        "summary": "Receive an event of Stripe's",
        "description": "Stripe posts its events to `/api/webhooks/stripe`. An event is stored "
        "before it is handled. A repeat changes nothing and is answered alike.",
        "tags": ["webhooks"],
        "security": [{"stripeSignature": []}],
        "requestBody": _content("Event", required=True),
        "responses": {"200": {"description": "Stored and settled.", **_content("Received")}},
        PROBLEMS: [
            *("bad_host", "body_too_large", "invalid_signature", "malformed_event"),
            *("length_required", "event_not_processed", "internal_error"),
            "database_unavailable",
        ],
    }


def service_event() -> Json:
    headers = {
        "webhook-id": "The event's id: the same for every attempt.",
        "webhook-timestamp": "Unix time of this attempt.",
        "webhook-signature": "`v1,` and the signature; several, while a secret is replaced.",
    }
    return {
        "operationId": "service_event",
        "summary": "Get an event of payflow's",
        "description": "payflow posts each event to your endpoints, signed as [Standard Webhooks]"
        "(https://www.standardwebhooks.com) are. Any 2xx is success; 410 disables the endpoint; "
        "anything else is tried again for three days. `position` is in the list of events only.",
        "tags": ["service"],
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": _TEXT}
            for name, text in headers.items()
        ],
        "requestBody": _content("ServiceEvent", required=True),
        "responses": {"2XX": {"description": "Received."}},
        PROBLEMS: [],
    }


def healthz() -> Json:
    return {
        "operationId": "healthz",
        "summary": "Liveness",
        "description": "Whether the process answers. Asks nothing else.",
        "tags": ["health"],
        "security": [],
        "responses": {
            "200": {"description": "It does.", **_content("Health")},
            "400": {"description": "The `Host` header names another server."},
        },
        PROBLEMS: [],
    }


def readyz() -> Json:
    return {
        "operationId": "readyz",
        "summary": "Readiness",
        "description": "Whether requests can be served: database, migrations, events.",
        "tags": ["health"],
        "security": [],
        "responses": {
            "200": {"description": "They can.", **_content("Health")},
            "400": {"description": "The `Host` header names another server."},
            "503": {"description": "They can't: a check has failed.", **_content("Health")},
        },
        PROBLEMS: [],
    }


def metrics() -> Json:
    text = {"text/plain": {"schema": _TEXT, "example": "# TYPE payflow_events gauge\n"}}
    return {
        "operationId": "metrics",
        "summary": "Metrics",
        "description": "For Prometheus. A 404 unless `METRICS_TOKEN` is set.",
        "tags": ["health"],
        "security": [{"metricsToken": []}],
        "responses": {
            "200": {"description": "The metrics in Prometheus' text format.", "content": text},
            "401": {"description": "The bearer is not `METRICS_TOKEN`."},
            "404": {"description": "`METRICS_TOKEN` is not set."},
        },
        PROBLEMS: [],
    }


def _content(schema: str, **more: Any) -> Json:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {**more, "content": {"application/json": {"schema": reference}}}
