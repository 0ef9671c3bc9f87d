"""Reads a payment intent's parameters: amount, payment method types and confirmation."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid, parameter_missing
from sandbox.flows.catalog import currency_of
from sandbox.flows.method_types import check_types, offered_types
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.objects.customers import shipping
from sandbox.objects.payments import payment_method_options
from sandbox.params import Params

_MIN_AMOUNT = 50
_MAX_AMOUNT = 99999999
_TYPE_LISTS = ("payment_method_types", "allowed_payment_method_types")
_AUTOMATIC_SINCE = "2023-08-16"
INTENT_TEXTS = (
    "description", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip


def amount_of(params: Params, currency: str) -> int:
    """The `amount` parameter, within Stripe's limits."""
    amount = params.positive("amount")
    if amount is None:
        raise parameter_missing("amount")
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


def customer_of(account: Account, params: Params) -> str | None:
    """The id of the `customer` parameter. Raises `resource_missing`."""
    identifier = params.text("customer")
    if identifier is None:
        return None
    return str(account.store.get("customer", identifier, param="customer")["id"])


def method_fields(params: Params, currency: str, version: str) -> JsonObject:
    """The intent's payment method types, and whether the Dashboard's settings decide them."""
    automatic = _automatic_methods(params, version)
    fields: JsonObject = {"automatic_payment_methods": automatic}
    name = next((name for name in _TYPE_LISTS if params.has(name)), _TYPE_LISTS[0])
    asked = params.texts(name)
    check_types(asked, currency, param=name)
    if name == "allowed_payment_method_types":
        fields[name] = asked or None
    fields["payment_method_types"] = asked or (offered_types(currency) if automatic else ["card"])
    return fields


def update_fields(account: Account, intent: JsonObject, params: Params) -> JsonObject:
    """The fields of an intent that an update changes."""
    changed: JsonObject = {}
    currency = str(intent["currency"])
    if params.has("currency"):
        currency = changed["currency"] = currency_of(params)
    if params.has("amount"):
        changed["amount"] = amount_of(params, currency)
    if params.has("customer"):
        changed["customer"] = customer_of(account, params)
    if params.has("metadata"):
        changed["metadata"] = params.merged_metadata(intent["metadata"])
    if params.has("shipping"):
        changed["shipping"] = shipping(params.mapping("shipping"))
    if any(params.has(name) for name in _TYPE_LISTS):
        changed.update(method_fields(params, currency, version=""))
        changed["payment_method_options"] = payment_method_options(changed["payment_method_types"])
    changed.update({name: params.text(name) for name in INTENT_TEXTS if params.has(name)})
    return changed


def refuse_without_return_url(intent: JsonObject, return_url: str | None) -> None:
    """Raise Stripe's error for a confirmation that may need a redirect and has no target for it."""
    automatic = intent["automatic_payment_methods"] or {}
    if return_url is None and automatic.get("allow_redirects") == "always":
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


def _automatic_methods(params: Params, version: str) -> JsonObject | None:
    given = params.child("automatic_payment_methods")
    given.allow_only({"enabled", "allow_redirects"})
    listed = any(params.has(name) for name in _TYPE_LISTS)
    if not params.has("automatic_payment_methods"):
        enabled = not listed and version >= _AUTOMATIC_SINCE
    else:
        given.required("enabled")
        enabled = given.boolean("enabled")
        if enabled and params.has("payment_method_types"):
            raise invalid(
                "You may only specify one of these parameters: automatic_payment_methods, "
                "payment_method_types.",
                param="payment_method_types",
            )
    redirects = given.one_of("allow_redirects", ["always", "never"], default="always")
    return {"allow_redirects": redirects, "enabled": True} if enabled else None
