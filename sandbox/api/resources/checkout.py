"""Decides what Checkout Sessions answer, and the private payment pages that Stripe's CLI uses."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_fixed, list_objects
from sandbox.api.routing import Call, get, post
from sandbox.errors import invalid
from sandbox.flows import checkout
from sandbox.flows.create_session import compose_session
from sandbox.flows.payment_methods import method_for
from sandbox.flows.payments import Progress
from sandbox.json_types import JsonObject

_SESSIONS = Collection(
    "checkout.session",
    "/v1/checkout/sessions",
    filters=("payment_intent", "customer", "status"),
)


def create_session(call: Call) -> JsonObject:
    """POST /v1/checkout/sessions."""
    session, private = compose_session(call.account, call.params, version=call.version)
    return checkout.open_session(call.account, session, private)


def retrieve_session(call: Call, identifier: str) -> JsonObject:
    """GET /v1/checkout/sessions/{}."""
    return call.account.store.get("checkout.session", identifier, param="session")


def list_sessions(call: Call) -> JsonObject:
    """GET /v1/checkout/sessions, also by payment intent."""
    return list_objects(call.account, _SESSIONS, call.params)


def list_line_items(call: Call, identifier: str) -> JsonObject:
    """GET /v1/checkout/sessions/{}/line_items."""
    retrieve_session(call, identifier)
    items = call.account.store.private(identifier)["line_items"]
    return list_fixed(items, f"/v1/checkout/sessions/{identifier}/line_items", call.params)


def update_session(call: Call, identifier: str) -> JsonObject:
    """POST /v1/checkout/sessions/{}: metadata only."""
    call.params.allow_only({"metadata"})
    session = retrieve_session(call, identifier)
    session["metadata"] = call.params.merged_metadata(session["metadata"])
    return call.account.store.save(session)


def expire_session(call: Call, identifier: str) -> JsonObject:
    """POST /v1/checkout/sessions/{}/expire."""
    return checkout.expire(call.account, retrieve_session(call, identifier))


def retrieve_page(call: Call, identifier: str) -> JsonObject:
    """GET /v1/payment_pages/{}."""
    session = retrieve_session(call, identifier)
    return {**session, "session_id": identifier}


def confirm_page(call: Call, identifier: str) -> JsonObject:
    """POST /v1/payment_pages/{}/confirm: pay a session without a browser."""
    session = retrieve_session(call, identifier)
    expected = call.params.integer("expected_amount")
    if expected is not None and expected != session["amount_total"]:
        raise invalid(
            "The amount of this Checkout Session has changed.",
            param="expected_amount",
            code="checkout_amount_mismatch",
        )
    method = None
    if session["amount_total"]:
        method = method_for(call.account, call.params.required("payment_method"))
    progress = checkout.confirm(call.account, session, method)
    if progress is Progress.REQUIRES_ACTION:
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
