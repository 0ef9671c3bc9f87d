"""Flows of webhook endpoints and events, and one refusal of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.account import API_VERSION
from sandbox.conformance.client import Client


def webhook_endpoints(client: Client) -> None:
    """An endpoint that is changed, disabled and deleted."""
    made = client.post(
        "/v1/webhook_endpoints",
        url="http://127.0.0.1:9/other",
        enabled_events=["checkout.session.completed"],
        description="d",
        metadata={"w": "1"},
        api_version=API_VERSION,
    )
    path = f"/v1/webhook_endpoints/{made['id']}"
    client.get(path)
    client.post(path, enabled_events=["*"], disabled=True)
    client.get("/v1/webhook_endpoints")
    client.delete(path)


def events(client: Client) -> None:
    """Every event, page by page."""
    after: dict[str, Any] = {}
    more = True
    while more:
        page = client.get("/v1/events", limit=100, **after)
        more = page["has_more"]
        after = {"starting_after": page["data"][-1]["id"]}
    client.get(f"/v1/events/{page['data'][0]['id']}")
    client.get("/v1/events", type="checkout.session.*", limit=3)


def refusals(client: Client) -> None:
    """An error of each kind."""
    client.get("/v1/checkout/sessions/cs_test_nothing")
    client.get("/v1/nothing")
    client.post("/v1/checkout/sessions", mode="payment")
    client.post("/v1/checkout/sessions", mode="payment", nothing=1)
    client.post("/v1/products")
    client.post("/v1/refunds", payment_intent="pi_nothing")
    client.get("/v1/events", limit=1000)
    client.request("GET", "/v1/events", headers={"Authorization": "Bearer sk_live_x"})
    for name in ("a", "b"):
        client.request("POST", "/v1/products", {"name": name}, headers={"Idempotency-Key": "same"})


FLOWS: list[Callable[[Client], None]] = [webhook_endpoints, events, refusals]
