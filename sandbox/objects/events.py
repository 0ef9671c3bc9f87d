"""Builders of events and webhook endpoints."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.identifiers import new_event_id, new_id
from sandbox.json_types import JsonObject


def event(
    kind: str,
    obj: JsonObject,
    *,
    created: int,
    api_version: str,
    request: JsonObject,
    previous: JsonObject | None,
) -> JsonObject:
    """An event with a copy of the object as it is now."""
    data: JsonObject = {"object": copy.deepcopy(obj)}
    if previous is not None:
        data["previous_attributes"] = copy.deepcopy(previous)
    return {
        "id": new_event_id(obj["object"]),
        "object": "event",
        "api_version": api_version,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": request,
        "type": kind,
    }


def webhook_endpoint(
    url: str, enabled_events: list[str], *, created: int, **fields: Any
) -> JsonObject:
    """A webhook endpoint."""
    return {
        "id": new_id("webhook_endpoint"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
        **fields,
    }
