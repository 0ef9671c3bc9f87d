"""API routes of events and webhook endpoints."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, delete, get, post
from sandbox.errors import invalid, not_supported, parameter_missing
from sandbox.json_types import JsonObject
from sandbox.params import Params
from sandbox.store import Query
from sandbox.webhooks.delivery import resend
from sandbox.webhooks.endpoints import EVENT_TYPES, create_endpoint, roll_secret
from sandbox.webhooks.events import drop_target

_MAX_TYPES = 20
_EVENT_RETENTION = 30 * 86400
_EVENTS = Collection("event", "/v1/events")
_ENDPOINTS = Collection("webhook_endpoint", "/v1/webhook_endpoints")


def list_events(request: ApiRequest) -> JsonObject:
    """GET /v1/events: the last 30 days, filtered by type, delivery success and time."""
    query = Query("event")
    query.where("created > ?", request.account.clock.timestamp() - _EVENT_RETENTION)
    _narrow_by_type(query, request.params)
    if request.params.has("delivery_success"):
        negation = "NOT" if request.params.boolean("delivery_success") else ""
        pending = "EXISTS (SELECT 1 FROM pending_deliveries WHERE event = objects.id)"
        query.where(f"{negation} {pending}")
    return list_objects(request.account, _EVENTS, request.params, query)


def retry_event(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/events/{}/retry: send it again, to one endpoint or to the CLI."""
    event = request.account.store.get("event", identifier)
    endpoint = request.params.text("webhook_endpoint")
    if endpoint is not None:
        request.account.store.get("webhook_endpoint", endpoint, param="webhook_endpoint")
        resend(request.account, event, [endpoint])
    elif request.params.boolean("for_stripecli"):
        resend(request.account, event, sorted(request.account.cli_sessions))
    else:
        resend(request.account, event)
    return event


def create_webhook_endpoint(request: ApiRequest) -> JsonObject:
    """POST /v1/webhook_endpoints: only this response contains the secret."""
    if request.params.boolean("connect"):
        raise not_supported("events of connected accounts", param="connect")
    endpoint, secret = create_endpoint(
        request.account,
        _url(request.params),
        _enabled_events(request.params),
        api_version=request.params.text("api_version"),
        description=request.params.text("description"),
        metadata=request.params.metadata(),
    )
    return {**endpoint, "secret": secret}


def update_webhook_endpoint(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/webhook_endpoints/{}: URL, event types, status, description and metadata."""
    params = request.params
    endpoint = request.account.store.get("webhook_endpoint", identifier)
    if params.has("url"):
        endpoint["url"] = _url(params)
    if params.has("enabled_events"):
        endpoint["enabled_events"] = _enabled_events(params)
    if params.has("disabled"):
        endpoint["status"] = "disabled" if params.boolean("disabled") else "enabled"
    if params.has("description"):
        endpoint["description"] = params.text("description")
    endpoint["metadata"] = params.merged_metadata(endpoint["metadata"])
    return request.account.store.save(endpoint)


def roll_webhook_endpoint(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/webhook_endpoints/{}/roll_secret: a new secret; the old one stays valid."""
    hours = request.params.integer("expires_in_hours")
    overlap = 24 * 3600.0 if hours is None else 3600.0 * max(0, min(hours, 24))
    secret = roll_secret(request.account, identifier, overlap=overlap)
    return {**request.account.store.get("webhook_endpoint", identifier), "secret": secret}


def delete_webhook_endpoint(request: ApiRequest, identifier: str) -> JsonObject:
    """DELETE /v1/webhook_endpoints/{}."""
    request.account.store.get("webhook_endpoint", identifier)
    request.account.store.remove(identifier)
    drop_target(request.account, identifier)
    return {"id": identifier, "object": "webhook_endpoint", "deleted": True}


def _narrow_by_type(query: Query, params: Params) -> None:
    pattern, types = params.text("type"), params.texts("types")
    if pattern and types:
        raise invalid("You may only specify one of these parameters: type, types.", param="types")
    if len(types) > _MAX_TYPES:
        raise invalid(f"You can filter by up to {_MAX_TYPES} event types.", param="types")
    if pattern:
        # Stripe knows only the wildcard *; escape the others that GLOB has.
        glob = pattern.replace("[", "[[]").replace("?", "[?]")
        query.where("json_extract(body, '$.type') GLOB ?", glob)
    if types:
        marks = ", ".join("?" * len(types))
        query.where(f"json_extract(body, '$.type') IN ({marks})", *types)


def _url(params: Params) -> str:
    url = params.url("url")
    if url is None:
        raise parameter_missing("url")
    return url


def _enabled_events(params: Params) -> list[str]:
    wanted = params.texts("enabled_events")
    if not wanted:
        raise parameter_missing("enabled_events")
    for index, name in enumerate(wanted):
        if name != "*" and name not in EVENT_TYPES:
            raise invalid(
                f"Invalid enabled_events[{index}]: {name[:60]} is not an event type.",
                param=f"enabled_events[{index}]",
            )
    return wanted


ROUTES = [
    get("/v1/events", list_events),
    get("/v1/events/{}", lambda request, i: request.account.store.get("event", i)),
    post("/v1/events/{}/retry", retry_event),
    post("/v1/webhook_endpoints", create_webhook_endpoint),
    get(
        "/v1/webhook_endpoints",
        lambda request: list_objects(request.account, _ENDPOINTS, request.params),
    ),
    get(
        "/v1/webhook_endpoints/{}",
        lambda request, i: request.account.store.get("webhook_endpoint", i),
    ),
    post("/v1/webhook_endpoints/{}", update_webhook_endpoint),
    post("/v1/webhook_endpoints/{}/roll_secret", roll_webhook_endpoint),
    delete("/v1/webhook_endpoints/{}", delete_webhook_endpoint),
]
