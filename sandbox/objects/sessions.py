"""Builder of Checkout Sessions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.encoding import compact, load
from sandbox.identifiers import new_id, random_text
from sandbox.json_types import JsonObject
from sandbox.objects.customers import address

_UNSET: JsonObject = dict.fromkeys(
    (
        "after_expiration", "allow_promotion_codes", "allowed_payment_method_types",
        "billing_address_collection", "cancel_url",
        "client_reference_id", "client_secret", "collected_information", "consent",
        "consent_collection", "currency_conversion", "customer", "customer_account",
        "customer_details", "customer_email", "integration_identifier", "invoice",
        "locale", "origin_context", "payment_intent", "payment_link",
        "payment_method_configuration_details", "permissions", "recovered_from", "setup_intent",
        "shipping_address_collection", "shipping_cost", "submit_type", "subscription",
    )
)  # fmt: skip

# Stripe's URLs end in a fragment too, which carries what the payment page's script needs.
_FRAGMENT_LENGTH = 32

_METHOD_OPTIONS: dict[str, JsonObject] = {
    "card": {"request_three_d_secure": "automatic"},
}

_DEFAULTS: JsonObject = {
    "adaptive_pricing": {"enabled": False},
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "custom_fields": [],
    "custom_text": {
        "after_submit": None,
        "shipping_address": None,
        "submit": None,
        "terms_of_service_acceptance": None,
    },
    "customer_creation": "if_required",
    "discounts": [],
    "invoice_creation": {
        "enabled": False,
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": None,
            "metadata": {},
            "rendering_options": None,
        },
    },
    "livemode": False,
    "managed_payments": {"enabled": False},
    "metadata": {},
    "mode": "payment",
    "payment_method_collection": "if_required",
    "payment_method_options": {},
    "payment_method_types": ["card"],
    "phone_number_collection": {"enabled": False},
    "saved_payment_method_options": None,
    "shipping_options": [],
    "status": "open",
    "ui_mode": "hosted_page",
    "wallet_options": None,
}


_DEFAULTS_TEXT = compact(_DEFAULTS)
"""A new copy is read from it for each session, faster than by deepcopy."""


def checkout_session(*, currency: str, created: int, url_base: str, **fields: Any) -> JsonObject:
    """An open session, without its amounts. It has no payment intent until it is confirmed."""
    identifier = new_id("checkout.session")
    return {
        "id": identifier,
        "object": "checkout.session",
        **_UNSET,
        **load(_DEFAULTS_TEXT),
        "amount_subtotal": 0,
        "amount_total": 0,
        "created": created,
        "currency": currency,
        "expires_at": created + 86400,
        "payment_status": "unpaid",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "url": f"{url_base}/c/pay/{identifier}#{random_text(_FRAGMENT_LENGTH)}",
        **fields,
    }


def session_method_options(types: Iterable[str]) -> JsonObject:
    """The session's options for each of its payment method types."""
    return {kind: dict(_METHOD_OPTIONS[kind]) for kind in types if kind in _METHOD_OPTIONS}


def known_details(email: str | None) -> JsonObject:
    """The session's `customer_details` before it is paid: only the email address is known."""
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def customer_details(email: str | None, billing: JsonObject) -> JsonObject:
    """The session's `customer_details`, set when it is paid."""
    return {
        "address": address(billing.get("address")),
        "business_name": None,
        "email": billing.get("email") or email,
        "individual_name": None,
        "name": billing.get("name"),
        "phone": billing.get("phone"),
        "tax_exempt": "none",
        "tax_ids": [],
    }
