"""Decides what payment methods, payment intents, charges and balance transactions answer."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import Call, get, post
from sandbox.errors import invalid, not_covered, parameter_missing
from sandbox.flows import payments
from sandbox.flows.catalog import currency_of
from sandbox.flows.payment_methods import create_method, method_for
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
_MINIMUM_AMOUNT = 50
_MAXIMUM_AMOUNT = 99999999

_METHODS = Collection("payment_method", "/v1/payment_methods", filters=("type", "customer"))
_INTENTS = Collection("payment_intent", "/v1/payment_intents", filters=("customer",))
_CHARGES = Collection("charge", "/v1/charges", filters=("payment_intent", "customer"))
_BALANCE = Collection(
    "balance_transaction", "/v1/balance_transactions", filters=("type", "source", "currency")
)


def create_payment_method(call: Call) -> JsonObject:
    """POST /v1/payment_methods."""
    kind = call.params.required("type")
    call.params.allow_only({"type", kind, "billing_details", "metadata", "allow_redisplay"})
    details = call.params.mapping(kind)
    if details is None:
        raise parameter_missing(kind)
    made = create_method(
        call.account, kind, details, _billing(call.params.child("billing_details"))
    )
    made["metadata"] = call.params.metadata()
    return call.account.store.save(made)


def create_intent(call: Call) -> JsonObject:
    """POST /v1/payment_intents, with `confirm` at once or later."""
    params = call.params
    params.allow_only(_INTENT_PARAMS)
    if params.text("capture_method") == "manual":
        raise not_covered("manual capture", param="capture_method")
    amount, currency = _amount(params), currency_of(params)
    intent = payments.create_intent(
        call.account,
        amount,
        currency,
        customer=_customer(call.account, params),
        metadata=params.metadata(),
        payment_method_types=_method_types(params),
        shipping=params.mapping("shipping"),
        **params.each_text(_INTENT_TEXTS),
    )
    _keep_return_url(call, intent)
    if reference := params.text("payment_method"):
        intent["payment_method"] = method_for(call.account, reference)["id"]
        intent["status"] = "requires_confirmation"
        call.account.store.save(intent)
    return _confirm(call, intent) if params.boolean("confirm") else intent


def confirm_intent(call: Call, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/confirm."""
    call.params.allow_only({"payment_method", "return_url", "off_session", "client_secret"})
    intent = _intent(call, identifier)
    _refuse_sessions_intent(call, intent, "confirm", "the customer pays on its page")
    if not str(intent["status"]).startswith("requires_"):
        raise _unexpected_state(intent, "confirm")
    _keep_return_url(call, intent)
    if reference := call.params.text("payment_method"):
        intent["payment_method"] = method_for(call.account, reference)["id"]
    return _confirm(call, intent)


def update_intent(call: Call, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}: description and metadata."""
    call.params.allow_only({"metadata", "description", "receipt_email"})
    intent = _intent(call, identifier)
    if call.params.has("metadata"):
        intent["metadata"] = call.params.merged_metadata(intent["metadata"])
    for name in ("description", "receipt_email"):
        if call.params.has(name):
            intent[name] = call.params.text(name)
    return call.account.store.save(intent)


def cancel_intent(call: Call, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/cancel; a session's intent ends with the session instead."""
    intent = _intent(call, identifier)
    _refuse_sessions_intent(call, intent, "cancel", "expire the Checkout Session instead")
    if not str(intent["status"]).startswith("requires_"):
        raise _unexpected_state(intent, "cancel")
    payments.cancel(call.account, intent, call.params.text("cancellation_reason"))
    return intent


def update_charge(call: Call, identifier: str) -> JsonObject:
    """POST /v1/charges/{}: description and metadata."""
    call.params.allow_only({"metadata", "description"})
    charge = call.account.store.get("charge", identifier)
    previous: JsonObject = {"metadata": charge["metadata"]}
    charge["metadata"] = call.params.merged_metadata(charge["metadata"])
    if call.params.has("description"):
        previous["description"] = charge["description"]
        charge["description"] = call.params.text("description")
    emit(call.account, "charge.updated", call.account.store.save(charge), previous)
    return charge


def _intent(call: Call, identifier: str) -> JsonObject:
    return call.account.store.get("payment_intent", identifier, param="intent")


def _keep_return_url(call: Call, intent: JsonObject) -> None:
    """Where the customer goes after 3D Secure."""
    if url := call.params.url("return_url"):
        call.account.store.keep_private(intent["id"], {"return_url": url})


def _billing(asked: Params) -> JsonObject:
    texts = asked.each_text(("email", "name", "phone"))
    return {**texts, "address": asked.child("address").each_text(ADDRESS_FIELDS)}


def _refuse_sessions_intent(call: Call, intent: JsonObject, verb: str, instead: str) -> None:
    """A session's payment is the session's alone, or it could be paid twice."""
    if call.account.store.private(intent["id"]).get("session"):
        raise invalid(
            f"You cannot {verb} a PaymentIntent created by a Checkout Session; {instead}.",
            code="payment_intent_unexpected_state",
        )


def _confirm(call: Call, intent: JsonObject) -> JsonObject:
    if not intent["payment_method"]:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    method = call.account.store.get("payment_method", intent["payment_method"])
    payments.confirm(call.account, intent, method)
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
    if amount < _MINIMUM_AMOUNT:
        least = amount_text(_MINIMUM_AMOUNT, currency)
        raise invalid(
            f"Amount must be at least {least} {currency}", param="amount", code="amount_too_small"
        )
    if amount > _MAXIMUM_AMOUNT:
        most = amount_text(_MAXIMUM_AMOUNT, currency)
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
    get("/v1/payment_methods", lambda call: list_objects(call.account, _METHODS, call.params)),
    get("/v1/payment_methods/{}", lambda call, i: call.account.store.get("payment_method", i)),
    post("/v1/payment_intents", create_intent),
    get("/v1/payment_intents", lambda call: list_objects(call.account, _INTENTS, call.params)),
    get("/v1/payment_intents/{}", _intent),
    post("/v1/payment_intents/{}", update_intent),
    post("/v1/payment_intents/{}/confirm", confirm_intent),
    post("/v1/payment_intents/{}/cancel", cancel_intent),
    get("/v1/charges", lambda call: list_objects(call.account, _CHARGES, call.params)),
    get("/v1/charges/{}", lambda call, i: call.account.store.get("charge", i)),
    post("/v1/charges/{}", update_charge),
    get("/v1/balance_transactions", lambda call: list_objects(call.account, _BALANCE, call.params)),
    get(
        "/v1/balance_transactions/{}",
        lambda call, i: call.account.store.get("balance_transaction", i),
    ),
]
