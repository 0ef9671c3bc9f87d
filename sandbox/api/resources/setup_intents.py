"""API routes of setup intents and mandates."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.api.shared_params import check_client_secret
from sandbox.errors import invalid, not_supported
from sandbox.flows import setup_intents
from sandbox.flows.mandates import acceptance_from
from sandbox.flows.payment_methods import resolve_payment_method
from sandbox.json_types import JsonObject
from sandbox.params import Params

_TYPES = ("card", "sepa_debit", "us_bank_account")
_REASONS = ("abandoned", "requested_by_customer", "duplicate")
_RETURN_URL_SINCE = "2023-08-16"
"""API version since which automatic payment methods, which may redirect, are the default."""
_INTENTS = Collection("setup_intent", "/v1/setup_intents", filters=("customer", "payment_method"))


def create_setup_intent(request: ApiRequest) -> JsonObject:
    """POST /v1/setup_intents, optionally confirmed in the same request."""
    params = request.params
    types = _types(params)
    automatic = _automatic(request, types)
    intent = setup_intents.create(
        request.account,
        automatic_payment_methods=automatic,
        customer=_customer(request),
        description=params.text("description"),
        metadata=params.metadata(),
        payment_method=_method(request),
        payment_method_types=types or ["card"],
        usage=params.one_of("usage", ["off_session", "on_session"], default="off_session"),
    )
    _save_private(request, intent)
    if not params.boolean("confirm"):
        return intent
    _require_return_url(request, intent)
    return setup_intents.confirm(request.account, intent)


def update_setup_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/setup_intents/{}: customer, description, metadata and payment method."""
    params = request.params
    intent = _intent(request, identifier)
    if params.has("customer"):
        intent["customer"] = _customer(request)
    if params.has("description"):
        intent["description"] = params.text("description")
    if params.has("metadata"):
        intent["metadata"] = params.merged_metadata(intent["metadata"])
    if params.has("payment_method_types"):
        intent["payment_method_types"] = _types(params) or ["card"]
    if params.has("payment_method"):
        intent["payment_method"] = _method(request)
        intent["status"] = "requires_confirmation"
    return request.account.store.save(intent)


def confirm_setup_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/setup_intents/{}/confirm."""
    intent = _intent(request, identifier)
    check_client_secret(request.params, intent)
    _save_private(request, intent)
    if request.params.has("payment_method"):
        intent["payment_method"] = _method(request)
    _require_return_url(request, intent)
    return setup_intents.confirm(request.account, intent)


def cancel_setup_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/setup_intents/{}/cancel."""
    reason = request.params.text("cancellation_reason")
    if reason is not None:
        request.params.one_of("cancellation_reason", _REASONS, default=reason)
    return setup_intents.cancel(request.account, _intent(request, identifier), reason)


def _intent(request: ApiRequest, identifier: str) -> JsonObject:
    return request.account.store.get("setup_intent", identifier, param="intent")


def _types(params: Params) -> list[str]:
    name = "payment_method_types"
    types = params.texts(name) or params.texts("allowed_payment_method_types")
    for kind in types:
        if kind not in _TYPES:
            raise not_supported(f"payment methods of type {kind[:40]}", param=name)
    return types


def _automatic(request: ApiRequest, types: list[str]) -> JsonObject | None:
    asked = request.params.child("automatic_payment_methods")
    if types or (not asked.has("enabled") and request.version < _RETURN_URL_SINCE):
        return None
    redirects = asked.one_of("allow_redirects", ["always", "never"], default="always")
    return {"allow_redirects": redirects, "enabled": asked.boolean("enabled", default=True)}


def _customer(request: ApiRequest) -> str | None:
    identifier = request.params.text("customer")
    if identifier is None:
        return None
    return str(request.account.store.get("customer", identifier, param="customer")["id"])


def _method(request: ApiRequest) -> str | None:
    reference = request.params.text("payment_method")
    return str(resolve_payment_method(request.account, reference)["id"]) if reference else None


def _save_private(request: ApiRequest, intent: JsonObject) -> None:
    """Store what the intent does not show: the return URL and the mandate's acceptance."""
    private = request.account.store.get_private(intent["id"])
    if url := request.params.url("return_url"):
        private["return_url"] = url
    if acceptance := acceptance_from(request.account, request.params):
        private["acceptance"] = acceptance
    request.account.store.set_private(intent["id"], private)


def _require_return_url(request: ApiRequest, intent: JsonObject) -> None:
    automatic = intent["automatic_payment_methods"] or {}
    redirects = automatic.get("enabled") and automatic.get("allow_redirects") == "always"
    if redirects and "return_url" not in request.account.store.get_private(intent["id"]):
        raise invalid(
            "This SetupIntent is configured to accept payment methods enabled in your "
            "Dashboard. Because some of these payment methods might redirect your customer "
            "off of your page, you must provide a `return_url`. If you don't want to accept "
            "redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating "
            "Setup Intents and Payment Intents."
        )


ROUTES = [
    post("/v1/setup_intents", create_setup_intent),
    get(
        "/v1/setup_intents",
        lambda request: list_objects(request.account, _INTENTS, request.params),
    ),
    get("/v1/setup_intents/{}", _intent),
    post("/v1/setup_intents/{}", update_setup_intent),
    post("/v1/setup_intents/{}/confirm", confirm_setup_intent),
    post("/v1/setup_intents/{}/cancel", cancel_setup_intent),
    get("/v1/mandates/{}", lambda request, i: request.account.store.get("mandate", i)),
]
