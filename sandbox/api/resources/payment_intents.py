"""API routes of payment intents."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.api.shared_params import check_client_secret, payment_method_param, shipping_param
from sandbox.errors import exclusive, invalid, parameter_missing
from sandbox.flows import captures, payments
from sandbox.flows.cash_balance import METHOD_TYPE, TRANSFER_OF_CURRENCY
from sandbox.flows.catalog import currency_of
from sandbox.flows.mandates import acceptance_from
from sandbox.flows.method_types import offered_types, requested_types
from sandbox.flows.payment_methods import resolve_payment_method
from sandbox.json_types import JsonObject
from sandbox.money import MAX_AMOUNT, amount_text, minimum_amount
from sandbox.objects.payments import payment_method_options
from sandbox.params import Params

_TEXTS = (
    "description", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip
_TYPE_PARAMS = (
    "payment_method_types", "allowed_payment_method_types", "excluded_payment_method_types",
)  # fmt: skip
_AUTOMATIC_SINCE = "2023-08-16"
"""API version since which a payment takes the methods of the Dashboard by default."""
_CLI_TRANSFERS = {"jpy": ("jp_bank_account",)}
"""The name that `stripe trigger payment_intent.partially_funded` of the CLI 1.52.0 sends."""
_STATEMENT_TEXTS = ("statement_descriptor", "statement_descriptor_suffix")
_UNPAID = ("requires_payment_method", "requires_confirmation", "requires_action")

_INTENTS = Collection(
    "payment_intent", "/v1/payment_intents", filters=("customer", "customer_account")
)


def create_intent(request: ApiRequest) -> JsonObject:
    """POST /v1/payment_intents, optionally confirmed in the same request."""
    params = request.params
    currency = currency_of(params)
    amount = _amount(params, currency)
    automatic = _automatic_methods(params, request.version)
    default = offered_types(currency) if automatic else ["card"]
    changed = _changed_fields(request, currency)
    intent = payments.create_intent(
        request.account,
        amount,
        currency,
        automatic_payment_methods=automatic,
        capture_method=params.text("capture_method") or "automatic_async",
        confirmation_method=params.text("confirmation_method") or "automatic",
        metadata=params.metadata(),
        payment_method_types=changed.pop("payment_method_types", None)
        or requested_types(params, currency, default=default),
        **changed,
    )
    _set_options(params, intent)
    _set_method(request, intent)
    request.account.store.save(intent)
    _save_return_url(request, intent)
    _save_mandate_acceptance(request, intent)
    if params.boolean("confirm"):
        return _confirm(request, intent)
    _allows_authentication(params)
    return intent


def retrieve_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/payment_intents/{}."""
    intent = _intent(request, identifier)
    check_client_secret(request.params, intent)
    return intent


def confirm_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/confirm."""
    params = request.params
    intent = _intent(request, identifier)
    _refuse_sessions_intent(request, intent, "confirm", "the customer pays on its page")
    check_client_secret(params, intent)
    if intent["status"] not in _UNPAID:
        raise _unexpected_state(intent, "confirm")
    intent.update(_changed_fields(request, intent["currency"]))
    if capture_method := params.text("capture_method"):
        intent["capture_method"] = capture_method
    _set_options(params, intent)
    _set_method(request, intent)
    _save_return_url(request, intent)
    _save_mandate_acceptance(request, intent)
    return _confirm(request, intent)


def capture_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/capture: the whole hold, or a part of it."""
    params = request.params
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
    """POST /v1/payment_intents/{}: an amount or method only while it is unpaid."""
    params = request.params
    intent = _intent(request, identifier)
    for name in ("amount", "currency", "payment_method", "payment_method_data"):
        if params.has(name) and intent["status"] not in _UNPAID:
            raise _not_updatable(intent, name)
    currency = params.currency() or intent["currency"]
    if params.has("amount") or params.has("currency"):
        asked = params if params.has("amount") else Params({"amount": str(intent["amount"])})
        intent.update(amount=_amount(asked, currency), currency=currency)
    intent.update(_changed_fields(request, currency))
    if capture_method := params.text("capture_method"):
        intent["capture_method"] = capture_method
    if params.has("metadata"):
        intent["metadata"] = params.merged_metadata(intent["metadata"])
    _set_options(params, intent)
    _set_method(request, intent)
    return request.account.store.save(intent)


def cancel_intent(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_intents/{}/cancel; a session's intent ends with the session instead."""
    intent = _intent(request, identifier)
    _refuse_sessions_intent(request, intent, "cancel", "expire the Checkout Session instead")
    if not str(intent["status"]).startswith("requires_"):
        raise _unexpected_state(intent, "cancel")
    payments.cancel(request.account, intent, request.params.text("cancellation_reason"))
    return intent


def _intent(request: ApiRequest, identifier: str) -> JsonObject:
    return request.account.store.get("payment_intent", identifier, param="intent")


def _changed_fields(request: ApiRequest, currency: str) -> JsonObject:
    """The fields that creation, update and confirmation have in common, if they were sent."""
    params = request.params
    params.email("receipt_email")
    changed: JsonObject = {name: params.text(name) for name in _TEXTS if params.has(name)}
    if params.has("customer"):
        changed["customer"] = _customer(request.account, params)
    if params.has("shipping"):
        changed["shipping"] = shipping_param(params, tracked=True)
    if any(params.has(name) for name in _TYPE_PARAMS):
        changed["payment_method_types"] = requested_types(
            params, currency, default=offered_types(currency), more=[METHOD_TYPE]
        )
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        if params.has(name):
            changed[name] = params.texts(name) or None
    return changed


def _automatic_methods(params: Params, version: str) -> JsonObject | None:
    """`automatic_payment_methods`: on by default, unless types are demanded."""
    asked = params.child("automatic_payment_methods")
    named = params.has("payment_method_types") or params.has("allowed_payment_method_types")
    default = version >= _AUTOMATIC_SINCE and not named
    enabled = asked.boolean("enabled", default=default)
    if enabled and params.has("payment_method_types"):
        raise exclusive("payment_method_types", "automatic_payment_methods")
    redirects = asked.text("allow_redirects") or "always"
    return {"allow_redirects": redirects, "enabled": True} if enabled else None


def _set_options(params: Params, intent: JsonObject) -> None:
    options = payment_method_options(intent["payment_method_types"])
    for kind, kept in intent["payment_method_options"].items():
        if kind in options:
            options[kind] = {**options[kind], **kept}
    asked = params.child("payment_method_options")
    secure = asked.child("card").text("request_three_d_secure")
    if "card" in options and secure:
        options["card"]["request_three_d_secure"] = secure
    transfer = _bank_transfer(asked.child(METHOD_TYPE), intent["currency"])
    if METHOD_TYPE in options and transfer:
        options[METHOD_TYPE]["bank_transfer"] = transfer
    intent["payment_method_options"] = options


def _bank_transfer(asked: Params, currency: str) -> JsonObject | None:
    """The kind of bank transfer, which the currency determines; None if it was not sent."""
    asked.text("funding_type")
    transfer = asked.child("bank_transfer")
    kind = transfer.text("type")
    if kind is None:
        return None
    fitting = TRANSFER_OF_CURRENCY.get(currency)
    if kind not in (fitting, *_CLI_TRANSFERS.get(currency, ())):
        raise invalid(
            f"Bank transfers of type {kind} are not available in {currency}.",
            param=transfer.name_of("type"),
        )
    country = transfer.child("eu_bank_transfer").text("country")
    return {**({kind: {"country": country}} if country else {}), "type": fitting}


def _set_method(request: ApiRequest, intent: JsonObject) -> None:
    """Set the payment method that a request names or describes."""
    params, account = request.params, request.account
    reference = params.text("payment_method")
    if reference and params.is_object("payment_method_data"):
        raise exclusive("payment_method", "payment_method_data")
    if reference:
        method = resolve_payment_method(account, reference)
    elif params.is_object("payment_method_data"):
        method = payment_method_param(account, params.child("payment_method_data"))
    else:
        return
    _check_method(intent, method)
    intent["payment_method"] = method["id"]
    if intent["status"] == "requires_payment_method":
        intent["status"] = "requires_confirmation"


def _check_method(intent: JsonObject, method: JsonObject) -> None:
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this "
            "PaymentIntent. Please attach a PaymentMethod of one of the following types: "
            f"{', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )
    if method["customer"] not in (None, intent["customer"]):
        raise invalid(
            f"The PaymentMethod supplied ({method['id']}) belongs to the Customer "
            f"{method['customer']}. Please include the Customer in the `customer` parameter on "
            "the PaymentIntent.",
            param="payment_method",
        )


def _save_return_url(request: ApiRequest, intent: JsonObject) -> None:
    """Store the URL that the customer returns to after 3D Secure."""
    if url := request.params.url("return_url"):
        private = request.account.store.get_private(intent["id"])
        request.account.store.set_private(intent["id"], {**private, "return_url": url})


def _save_mandate_acceptance(request: ApiRequest, intent: JsonObject) -> None:
    """Store the acceptance of the mandate that a bank debit will have."""
    if acceptance := acceptance_from(request.account, request.params):
        private = request.account.store.get_private(intent["id"])
        request.account.store.set_private(intent["id"], {**private, "acceptance": acceptance})


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
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method.",
            code="payment_intent_unexpected_state",
        )
    _require_return_url(request, intent)
    method = request.account.store.get("payment_method", intent["payment_method"])
    payments.confirm(
        request.account, intent, method, may_authenticate=_allows_authentication(request.params)
    )
    return intent


def _require_return_url(request: ApiRequest, intent: JsonObject) -> None:
    automatic = intent["automatic_payment_methods"] or {}
    if automatic.get("allow_redirects") != "always":
        return
    if not request.account.store.get_private(intent["id"]).get("return_url"):
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your page, "
            "you must provide a `return_url`. If you don't want to accept redirect-based payment "
            "methods, set `automatic_payment_methods[enabled]` to `true` and "
            "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents "
            "and Payment Intents.",
            param="return_url",
            code="payment_intent_invalid_parameter",
        )


def _allows_authentication(params: Params) -> bool:
    """Whether the customer can authenticate: not if absent, nor if the request forbids it."""
    off_session = (params.text("off_session") or "false") not in {"false", "0"}
    error_on_action = params.boolean("error_on_requires_action")
    return not off_session and not error_on_action


def _unexpected_state(intent: JsonObject, verb: str) -> Exception:
    return invalid(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
    )


def _not_updatable(intent: JsonObject, name: str) -> Exception:
    return invalid(
        f"This PaymentIntent's {name} could not be updated because it has a status of "
        f"{intent['status']}. You may only update the {name} of a PaymentIntent with one of the "
        f"following statuses: {', '.join(_UNPAID)}.",
        param=name,
        code="payment_intent_unexpected_state",
    )


def _amount(params: Params, currency: str) -> int:
    amount = params.positive("amount")
    if amount is None:
        raise parameter_missing("amount")
    if amount < minimum_amount(currency):
        least = amount_text(minimum_amount(currency), currency)
        raise invalid(
            f"Amount must be at least {least} {currency}", param="amount", code="amount_too_small"
        )
    if amount > MAX_AMOUNT:
        most = amount_text(MAX_AMOUNT, currency)
        raise invalid(
            f"Amount must be no more than {most}", param="amount", code="amount_too_large"
        )
    return amount


def _customer(account: Account, params: Params) -> str | None:
    identifier = params.text("customer")
    if identifier is None:
        return None
    return str(account.store.get("customer", identifier, param="customer")["id"])


ROUTES = [
    post("/v1/payment_intents", create_intent),
    get(
        "/v1/payment_intents",
        lambda request: list_objects(request.account, _INTENTS, request.params),
    ),
    get("/v1/payment_intents/{}", retrieve_intent),
    post("/v1/payment_intents/{}", update_intent),
    post("/v1/payment_intents/{}/confirm", confirm_intent),
    post("/v1/payment_intents/{}/cancel", cancel_intent),
    post("/v1/payment_intents/{}/capture", capture_intent),
]
