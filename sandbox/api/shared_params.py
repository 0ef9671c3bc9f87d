"""Parameters that several routes share: addresses, shipping details, new payment methods."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid, parameter_missing
from sandbox.flows.payment_methods import create_payment_method
from sandbox.json_types import JsonObject
from sandbox.objects.customers import ADDRESS_FIELDS
from sandbox.params import Params

_METHOD_DETAILS = {
    "card": ("cvc", "exp_month", "exp_year", "number", "token"),
    "sepa_debit": ("iban",),
    "us_bank_account": (
        "account_holder_type", "account_number", "account_type", "routing_number",
    ),
}  # fmt: skip


def address_param(params: Params, key: str) -> JsonObject | None:
    """An address with all fields; None if it is absent or empty."""
    if not params.is_object(key):
        params.mapping(key)
        return None
    return dict(params.child(key).each_text(ADDRESS_FIELDS))


def shipping_param(params: Params, *, tracked: bool = False) -> JsonObject | None:
    """Shipping details; those of a payment are `tracked` and have a carrier."""
    if not params.is_object("shipping"):
        params.mapping("shipping")
        return None
    given = params.child("shipping")
    names = ("name", "phone", *(("carrier", "tracking_number") if tracked else ()))
    return {"address": address_param(given, "address"), **given.each_text(names)}


def payment_method_param(account: Account, params: Params) -> JsonObject:
    """A new payment method from its type, the details of that type, and billing details."""
    kind = params.required("type")
    if not params.is_object(kind) and kind in _METHOD_DETAILS:
        raise parameter_missing(params.name_of(kind))
    details = params.child(kind).each_text(_METHOD_DETAILS.get(kind, ()))
    made = create_payment_method(
        account,
        kind,
        {name: value for name, value in details.items() if value is not None},
        billing_param(params),
    )
    made["allow_redisplay"] = params.text("allow_redisplay") or "unspecified"
    return account.store.save(made)


def billing_param(params: Params) -> JsonObject:
    """The billing details of a payment method."""
    given = params.child("billing_details")
    given.email("email")
    return {
        "address": address_param(given, "address"),
        **given.each_text(("email", "name", "phone", "tax_id")),
    }


def check_client_secret(params: Params, intent: JsonObject) -> None:
    """Raise Stripe's error for the client secret of another intent."""
    secret = params.text("client_secret")
    if secret is not None and secret != intent["client_secret"]:
        raise invalid(
            "The client_secret provided does not match the client_secret associated with this "
            "intent.",
            param="client_secret",
            code=f"{intent['object']}_invalid_parameter",
        )
