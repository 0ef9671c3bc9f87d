"""Builders of payment methods, payment intents, charges and balance transactions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sandbox.identifiers import new_id, random_text
from sandbox.json_types import JsonObject
from sandbox.objects.customers import billing_details


def payment_method(kind: str, details: JsonObject, *, created: int, **fields: Any) -> JsonObject:
    """A payment method; `details` is the field named after its type."""
    return {
        "id": new_id("payment_method"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(),
        kind: details,
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
        **fields,
    }


def card_source(card: JsonObject, customer_id: str) -> JsonObject:
    """A card in a customer's `sources`; `card` is that of a payment method."""
    brands = {"visa": "Visa", "mastercard": "MasterCard", "amex": "American Express"}
    return {
        "id": new_id("card"),
        "object": "card",
        "address_city": None,
        "address_country": None,
        "address_line1": None,
        "address_line1_check": None,
        "address_line2": None,
        "address_state": None,
        "address_zip": None,
        "address_zip_check": None,
        "allow_redisplay": "unspecified",
        "brand": brands.get(card["brand"], "Unknown"),
        "country": card["country"],
        "customer": customer_id,
        "cvc_check": card["checks"]["cvc_check"],
        "dynamic_last4": None,
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "last4": card["last4"],
        "metadata": {},
        "name": None,
        "regulated_status": card["regulated_status"],
        "tokenization_method": None,
    }


def payment_intent(amount: int, currency: str, *, created: int, **fields: Any) -> JsonObject:
    """A payment intent without a payment method."""
    identifier = new_id("payment_intent")
    return {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{identifier}_secret_{random_text(25)}",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        **_UNPAID_FIELDS,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "livemode": False,
        "metadata": {},
        "status": "requires_payment_method",
        **fields,
    }


def payment_method_options(types: Iterable[str]) -> JsonObject:
    """A payment intent's options for each of its payment method types."""
    return {kind: dict(_METHOD_OPTIONS.get(kind, {})) for kind in types}


_METHOD_OPTIONS: dict[str, JsonObject] = {
    "card": {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    },
    "customer_balance": {"funding_type": "bank_transfer"},
    "us_bank_account": {"verification_method": "automatic"},
}

_UNPAID_FIELDS: JsonObject = {
    "allowed_payment_method_types": None,
    "customer": None,
    "customer_account": None,
    "description": None,
    "excluded_payment_method_types": None,
    "last_payment_error": None,
    "latest_charge": None,
    "managed_payments": {"enabled": False},
    "next_action": None,
    "on_behalf_of": None,
    "payment_method": None,
    "payment_method_configuration_details": None,
    "payment_record": None,
    "processing": None,
    "receipt_email": None,
    "review": None,
    "setup_future_usage": None,
    "shipping": None,
    "source": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "transfer_data": None,
    "transfer_group": None,
}


def charge(
    intent: JsonObject, method: JsonObject, *, created: int, authenticated: bool = False
) -> JsonObject:
    """A pending charge of a payment intent.

    The intent's metadata and description are copied when the charge is created, as Stripe does.
    `authenticated` says that the customer passed 3D Secure.
    """
    identifier = new_id("charge")
    if method["type"] != "card":
        identifier = identifier.replace("ch_", "py_", 1)
    presented = intent.get("presentment_details")
    return {
        "id": identifier,
        "object": "charge",
        **({"presentment_details": presented} if presented else {}),
        "amount": intent["amount"],
        "billing_details": method["billing_details"],
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        **_PENDING_FIELDS,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _payment_method_details(
            method, int(intent["amount"]), authenticated=authenticated
        ),
        "receipt_email": intent["receipt_email"],
        "shipping": intent["shipping"],
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
    }


_PENDING_FIELDS: JsonObject = {
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": None,
    "calculated_statement_descriptor": "PAYFLOW SANDBOX",
    "captured": False,
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "on_behalf_of": None,
    "outcome": None,
    "paid": False,
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "source": None,
    "source_transfer": None,
    "status": "pending",
    "transfer_data": None,
    "transfer_group": None,
}


def _payment_method_details(method: JsonObject, amount: int, *, authenticated: bool) -> JsonObject:
    kind = str(method["type"])
    if kind != "card":
        account = {name: method[kind][name] for name in _CHARGE_BANK_FIELDS[kind]}
        return {kind: {**account, **_BANK_PROCESSING[kind]}, "type": kind}
    card = {name: method["card"][name] for name in _CHARGE_CARD_FIELDS}
    indicator = _COMMERCE_INDICATORS.get(card["brand"]) if authenticated else None
    return {
        "card": {
            **card,
            **_CARD_PROCESSING,
            "amount_authorized": amount,
            "electronic_commerce_indicator": indicator,
            "network": card["brand"],
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "three_d_secure": _passed_authentication(indicator) if authenticated else None,
        },
        "type": "card",
    }


_CHARGE_CARD_FIELDS = (
    "brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4",
    "regulated_status", "wallet",
)  # fmt: skip

_CHARGE_BANK_FIELDS: dict[str, tuple[str, ...]] = {
    "customer_balance": (),
    "sepa_debit": ("bank_code", "branch_code", "country", "fingerprint", "last4"),
    "us_bank_account": (
        "account_holder_type", "account_type", "bank_name", "fingerprint", "last4",
        "routing_number",
    ),
}  # fmt: skip

_BANK_PROCESSING: dict[str, JsonObject] = {
    "customer_balance": {},
    "sepa_debit": {"mandate": None},
    "us_bank_account": {"payment_reference": None},
}

_COMMERCE_INDICATORS = {"visa": "05", "mastercard": "02"}
"""Electronic commerce indicator of a fully authenticated payment, by card brand."""


def _passed_authentication(indicator: str | None) -> JsonObject:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": indicator,
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": str(uuid.uuid4()),
        "version": "2.2.0",
    }


_CARD_PROCESSING: JsonObject = {
    "authorization_code": None,
    "extended_authorization": {"status": "disabled"},
    "incremental_authorization": {"status": "unavailable"},
    "installments": None,
    "mandate": None,
    "multicapture": {"status": "unavailable"},
    "network_token": {"used": False},
    "network_transaction_id": None,
    "transaction_link_id": None,
}


def balance_transaction(
    kind: str, *, amount: int, fee: int, currency: str, source: str, created: int, category: str
) -> JsonObject:
    """A balance transaction of a payment, refund or dispute."""
    return {
        "id": new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [_processing_fee(fee, currency)] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "available",
        "type": kind,
    }


def _processing_fee(amount: int, currency: str) -> JsonObject:
    return {
        "amount": amount,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
