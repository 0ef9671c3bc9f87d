"""API routes of invoices, which Checkout creates."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_fixed, list_objects
from sandbox.api.routing import ApiRequest, get
from sandbox.json_types import JsonObject

_INVOICES = Collection(
    "invoice", "/v1/invoices", filters=("customer", "status", "collection_method")
)


def list_lines(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/invoices/{}/lines."""
    lines = request.account.store.get("invoice", identifier)["lines"]["data"]
    return list_fixed(lines, f"/v1/invoices/{identifier}/lines", request.params)


ROUTES = [
    get("/v1/invoices", lambda request: list_objects(request.account, _INVOICES, request.params)),
    get("/v1/invoices/{}", lambda request, i: request.account.store.get("invoice", i)),
    get("/v1/invoices/{}/lines", list_lines),
]
