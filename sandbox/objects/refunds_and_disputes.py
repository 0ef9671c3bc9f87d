"""Builders of refunds, disputes and early fraud warnings."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject

_EVIDENCE_FIELDS = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
    "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
    "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
    "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address",
    "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def refund(charge: JsonObject, amount: int, *, created: int, **fields: Any) -> JsonObject:
    """A refund of a charge."""
    method = str(charge["payment_method_details"]["type"])
    return {
        "id": new_id("refund"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": _destination(method),
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
        **fields,
    }


def _destination(method: str) -> JsonObject:
    if method != "card":
        return {"type": method}  # Stripe has details for cards and bank transfers only
    card = {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {"card": card, "type": "card"}


def dispute(charge: JsonObject, *, reason: str, status: str, created: int) -> JsonObject:
    """A dispute of a charge; `warning_…` statuses are inquiries."""
    inquiry = status.startswith("warning_")
    return {
        "id": new_id("dispute"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE_FIELDS), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": created + 9 * 86400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _disputed_card(charge, inquiry=inquiry),
        "reason": reason,
        "status": status,
    }


def _disputed_card(charge: JsonObject, *, inquiry: bool) -> JsonObject | None:
    """Card details of a dispute; None for a bank debit."""
    if charge["payment_method_details"]["type"] != "card":
        return None
    network = charge["payment_method_details"]["card"]["network"]
    card = {
        "brand": network,
        "case_type": "inquiry" if inquiry else "chargeback",
        "network": network,
        "network_reason_code": "10.4",
    }
    return {"card": card, "type": "card"}


def early_fraud_warning(charge: JsonObject, *, created: int) -> JsonObject:
    """A card issuer's warning that a charge is fraudulent."""
    return {
        "id": new_id("radar.early_fraud_warning"),
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": charge["id"],
        "created": created,
        "fraud_type": "misc",
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }


def is_evidence(name: str) -> bool:
    """Whether dispute evidence has this field."""
    return name in _EVIDENCE_FIELDS
