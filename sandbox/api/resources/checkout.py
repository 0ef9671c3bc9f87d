"""API routes of Checkout Sessions, and of the undocumented payment pages that Stripe's CLI uses."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_fixed, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.errors import invalid
from sandbox.flows import checkout
from sandbox.flows.create_session import build_session
from sandbox.flows.payment_methods import resolve_payment_method
from sandbox.flows.payments import ConfirmationStatus
from sandbox.json_types import JsonObject

_SESSIONS = Collection(
    "checkout.session",
    "/v1/checkout/sessions",
    filters=("payment_intent", "customer", "status"),
)


def create_session(request: ApiRequest) -> JsonObject:
    """POST /v1/checkout/sessions."""
    session, private = build_session(request.account, request.params, version=request.version)
    return checkout.open_session(request.account, session, private)


def retrieve_session(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/checkout/sessions/{}."""
    return request.account.store.get("checkout.session", identifier, param="session")


def list_sessions(request: ApiRequest) -> JsonObject:
    """GET /v1/checkout/sessions, also by payment intent."""
    return list_objects(request.account, _SESSIONS, request.params)


def list_line_items(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/checkout/sessions/{}/line_items."""
    retrieve_session(request, identifier)
    items = request.account.store.get_private(identifier)["line_items"]
    return list_fixed(items, f"/v1/checkout/sessions/{identifier}/line_items", request.params)


def update_session(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/checkout/sessions/{}: metadata only."""
    session = retrieve_session(request, identifier)
    session["metadata"] = request.params.merged_metadata(session["metadata"])
    return request.account.store.save(session)


def expire_session(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/checkout/sessions/{}/expire."""
    return checkout.expire(request.account, retrieve_session(request, identifier))


def retrieve_page(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/payment_pages/{}."""
    session = retrieve_session(request, identifier)
    return {**session, "session_id": identifier}


def confirm_page(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_pages/{}/confirm: pay a session without a browser."""
    session = retrieve_session(request, identifier)
    expected = request.params.integer("expected_amount")
    if expected is not None and expected != session["amount_total"]:
        raise invalid(
            "The amount of this Checkout Session has changed.",
            param="expected_amount",
            code="checkout_amount_mismatch",
        )
    method = None
    if session["amount_total"]:
        method = resolve_payment_method(request.account, request.params.required("payment_method"))
    progress = checkout.confirm(request.account, session, method)
    if progress is ConfirmationStatus.REQUIRES_ACTION:
        session["next_action"] = {"type": "redirect_to_url", "url": session["url"]}
    return {**session, "session_id": identifier}


ROUTES = [
    post("/v1/checkout/sessions", create_session),
    get("/v1/checkout/sessions", list_sessions),
    get("/v1/checkout/sessions/{}", retrieve_session),
    post("/v1/checkout/sessions/{}", update_session),
    post("/v1/checkout/sessions/{}/expire", expire_session),
    get("/v1/checkout/sessions/{}/line_items", list_line_items),
    get("/v1/payment_pages/{}", retrieve_page),
    post("/v1/payment_pages/{}/confirm", confirm_page),
]
