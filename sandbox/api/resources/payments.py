"""API routes of payment methods, payment intents, charges and balance transactions."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.errors import invalid, not_supported, parameter_missing
from sandbox.flows import captures, payment_methods, payments
from sandbox.flows.catalog import currency_of
from sandbox.flows.payment_methods import resolve_payment_method
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.objects.customers import ADDRESS_FIELDS
from sandbox.params import Params
from sandbox.webhooks.events import emit

_INTENT_PARAMS = frozenset(
    {
        "amount", "currency", "confirm", "payment_method", "payment_method_types",
        "allowed_payment_method_types", "metadata", "description", "customer", "receipt_email",
        "shipping", "setup_future_usage", "statement_descriptor", "statement_descriptor_suffix",
        "automatic_payment_methods", "return_url", "off_session", "error_on_requires_action",
        "confirmation_method", "capture_method", "transfer_group",
    }
)  # fmt: skip
_INTENT_TEXTS = (
    "description", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip
_STATEMENT_TEXTS = ("statement_descriptor", "statement_descriptor_suffix")
_UNSUPPORTED_IN_CAPTURE = (
    "amount_details", "application_fee_amount", "final_capture", "hooks", "payment_details",
    "transfer_data",
)  # fmt: skip
_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
_MIN_AMOUNT = 50
_MAX_AMOUNT = 99999999

_METHODS = Collection("payment_method", "/v1/payment_methods", filters=("type", "customer"))
_INTENTS = Collection("payment_intent", "/v1/payment_intents", filters=("customer",))
_CHARGES = Collection("charge", "/v1/charges", filters=("payment_intent", "customer"))
_BALANCE = Collection(
    "balance_transaction", "/v1/balance_transactions", filters=("type", "source", "currency")
)


def create_payment_method(request: ApiRequest) -> JsonObject:
    """POST /v1/payment_methods."""
    kind = request.params.required("type")
    request.params.allow_only({"type", kind, "billing_details", "metadata", "allow_redisplay"})
    details = request.params.mapping(kind)
    if details is None:
        raise parameter_missing(kind)
    made = payment_methods.create_payment_method(
        request.account, kind, details, _billing(request.params.child("billing_details"))
    )
    made["metadata"] = request.params.metadata()
    return request.account.store.save(made)


def create_intent(request: ApiRequest) -> JsonObject:
    """POST /v1/payment_intents, optionally confirmed in the same request."""
    params = request.params
    params.allow_only(_INTENT_PARAMS)
    capture_method = params.one_of("capture_method", _CAPTURE_METHODS, default="automatic_async")
    amount, currency = _amount(params), currency_of(params)
    intent = payments.create_intent(
        request.account,
        amount,
        currency,
        capture_method=capture_method,
        customer=_customer(request.account, params),
        metadata=params.metadata(),
        payment_method_types=_method_types(params),
        shipping=params.mapping("shipping"),
        **params.each_text(_INTENT_TEXTS),
    )
    _save_return_url(request, intent)
    if reference := params.text("payment_method"):
        intent["payment_method"] = resolve_payment_method(request.account, reference)["id"]
        intent["status"] = "requires_confirmation"
        request.account.store.save(intent)
    return _confirm(request, intent) if params.boolean("confirm") else intent


def confirm_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/confirm."""
    request.params.allow_only({"payment_method", "return_url", "off_session", "client_secret"})
    intent = _intent(request, identifier)
    _refuse_sessions_intent(request, intent, "confirm", "the customer pays on its page")
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "confirm")
    _save_return_url(request, intent)
    if reference := request.params.text("payment_method"):
        intent["payment_method"] = resolve_payment_method(request.account, reference)["id"]
    return _confirm(request, intent)


def capture_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/capture: the whole hold, or a part of it."""
    params = request.params
    for name in _UNSUPPORTED_IN_CAPTURE:
        if params.has(name):
            raise not_supported(f"`{name}` when capturing", param=name)
    params.allow_only({"amount_to_capture", "metadata", *_STATEMENT_TEXTS})
    intent = _intent(request, identifier)
    if intent["status"] != "requires_capture":
        raise invalid(
            f"This PaymentIntent could not be captured because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be "
            "captured: requires_capture.",
            code="payment_intent_unexpected_state",
        )
    if params.has("metadata"):
        intent["metadata"] = params.merged_metadata(intent["metadata"])
    for name in _STATEMENT_TEXTS:
        if params.has(name):
            intent[name] = params.text(name)
    return captures.capture(request.account, intent, params.positive("amount_to_capture"))


def update_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}: description and metadata."""
    request.params.allow_only({"metadata", "description", "receipt_email"})
    intent = _intent(request, identifier)
    if request.params.has("metadata"):
        intent["metadata"] = request.params.merged_metadata(intent["metadata"])
    for name in ("description", "receipt_email"):
        if request.params.has(name):
            intent[name] = request.params.text(name)
    return request.account.store.save(intent)


def cancel_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/cancel; a session's intent ends with the session instead."""
    intent = _intent(request, identifier)
    _refuse_sessions_intent(request, intent, "cancel", "expire the Checkout Session instead")
    if not str(intent["status"]).startswith("requires_"):
        raise _unexpected_state(intent, "cancel")
    payments.cancel(request.account, intent, request.params.text("cancellation_reason"))
    return intent


def update_charge(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/charges/{}: description and metadata."""
    request.params.allow_only({"metadata", "description"})
    charge = request.account.store.get("charge", identifier)
    previous: JsonObject = {"metadata": charge["metadata"]}
    charge["metadata"] = request.params.merged_metadata(charge["metadata"])
    if request.params.has("description"):
        previous["description"] = charge["description"]
        charge["description"] = request.params.text("description")
    emit(request.account, "charge.updated", request.account.store.save(charge), previous)
    return charge


def _intent(request: ApiRequest, identifier: str) -> JsonObject:
    return request.account.store.get("payment_intent", identifier, param="intent")


def _save_return_url(request: ApiRequest, intent: JsonObject) -> None:
    """Store the URL that the customer returns to after 3D Secure."""
    if url := request.params.url("return_url"):
        request.account.store.set_private(intent["id"], {"return_url": url})


def _billing(asked: Params) -> JsonObject:
    texts = asked.each_text(("email", "name", "phone"))
    return {**texts, "address": asked.child("address").each_text(ADDRESS_FIELDS)}


def _refuse_sessions_intent(
    request: ApiRequest, intent: JsonObject, verb: str, instead: str
) -> None:
    """Only a session may confirm or cancel its payment intent; else it could be paid twice."""
    if request.account.store.get_private(intent["id"]).get("session"):
        raise invalid(
            f"You cannot {verb} a PaymentIntent created by a Checkout Session; {instead}.",
            code="payment_intent_unexpected_state",
        )


def _confirm(request: ApiRequest, intent: JsonObject) -> JsonObject:
    if not intent["payment_method"]:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    method = request.account.store.get("payment_method", intent["payment_method"])
    payments.confirm(request.account, intent, method)
    return intent


def _unexpected_state(intent: JsonObject, verb: str) -> Exception:
    return invalid(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
    )


def _amount(params: Params) -> int:
    amount = params.positive("amount")
    if amount is None:
        raise parameter_missing("amount")
    currency = currency_of(params)
    if amount < _MIN_AMOUNT:
        least = amount_text(_MIN_AMOUNT, currency)
        raise invalid(
            f"Amount must be at least {least} {currency}", param="amount", code="amount_too_small"
        )
    if amount > _MAX_AMOUNT:
        most = amount_text(_MAX_AMOUNT, currency)
        raise invalid(
            f"Amount must be no more than {most}", param="amount", code="amount_too_large"
        )
    return amount


def _customer(account: Account, params: Params) -> str | None:
    identifier = params.text("customer")
    if identifier is None:
        return None
    return str(account.store.get("customer", identifier, param="customer")["id"])


def _method_types(params: Params) -> list[str]:
    asked = params.texts("payment_method_types") or params.texts("allowed_payment_method_types")
    return asked or ["card"]


ROUTES = [
    post("/v1/payment_methods", create_payment_method),
    get(
        "/v1/payment_methods",
        lambda request: list_objects(request.account, _METHODS, request.params),
    ),
    get(
        "/v1/payment_methods/{}", lambda request, i: request.account.store.get("payment_method", i)
    ),
    post("/v1/payment_intents", create_intent),
    get(
        "/v1/payment_intents",
        lambda request: list_objects(request.account, _INTENTS, request.params),
    ),
    get("/v1/payment_intents/{}", _intent),
    post("/v1/payment_intents/{}", update_intent),
    post("/v1/payment_intents/{}/confirm", confirm_intent),
    post("/v1/payment_intents/{}/cancel", cancel_intent),
    post("/v1/payment_intents/{}/capture", capture_intent),
    get("/v1/charges", lambda request: list_objects(request.account, _CHARGES, request.params)),
    get("/v1/charges/{}", lambda request, i: request.account.store.get("charge", i)),
    post("/v1/charges/{}", update_charge),
    get(
        "/v1/balance_transactions",
        lambda request: list_objects(request.account, _BALANCE, request.params),
    ),
    get(
        "/v1/balance_transactions/{}",
        lambda request, i: request.account.store.get("balance_transaction", i),
    ),
]
