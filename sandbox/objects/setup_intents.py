"""Builders of setup intents, their attempts, and mandates."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id, random_text
from sandbox.json_types import JsonObject


def setup_intent(*, created: int, **fields: Any) -> JsonObject:
    """A setup intent without a payment method."""
    identifier = new_id("setup_intent")
    return {
        "id": identifier,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{identifier}_secret_{random_text(25)}",
        "created": created,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
        **fields,
    }


def setup_attempt(intent: JsonObject, method: JsonObject, *, created: int) -> JsonObject:
    """An attempt to set up a payment method."""
    return {
        "id": new_id("setup_attempt"),
        "object": "setup_attempt",
        "application": None,
        "created": created,
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_method": method["id"],
        "payment_method_details": _attempt_details(method),
        "setup_error": None,
        "setup_intent": intent["id"],
        "status": "succeeded",
        "usage": intent["usage"],
    }


def mandate(
    method: JsonObject, acceptance: JsonObject, *, single_use: JsonObject | None
) -> JsonObject:
    """The customer's permission to debit a payment method."""
    kind = str(method["type"])
    use = "single_use" if single_use is not None else "multi_use"
    return {
        "id": new_id("mandate"),
        "object": "mandate",
        "customer_acceptance": acceptance,
        "livemode": False,
        use: single_use or {},
        "payment_method": method["id"],
        "payment_method_details": {kind: _mandate_details(kind), "type": kind},
        "status": "active",
        "type": use,
    }


def _mandate_details(kind: str) -> JsonObject:
    if kind != "sepa_debit":
        return {}
    reference = random_text(16).upper()
    return {
        "reference": reference,
        "url": f"https://hooks.stripe.com/adapter/sepa_debit/file/{reference}",
    }


def _attempt_details(method: JsonObject) -> JsonObject:
    kind = str(method["type"])
    if kind != "card":
        return {kind: {}, "type": kind}
    names = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding")
    card = {name: method["card"][name] for name in names}
    more = {"network": card["brand"], "three_d_secure": None, "wallet": None}
    return {"card": {**card, "last4": method["card"]["last4"], **more}, "type": "card"}
