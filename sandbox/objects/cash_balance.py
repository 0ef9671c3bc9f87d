"""Builders of a customer's cash balance and its transactions."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject


def cash_balance(customer_id: str, available: dict[str, int]) -> JsonObject:
    """The money that a customer has transferred and that no payment has used; by currency."""
    return {
        "object": "cash_balance",
        "available": available or None,
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }


def cash_transaction(
    kind: str,
    customer_id: str,
    *,
    net_amount: int,
    ending_balance: int,
    currency: str,
    created: int,
    details: JsonObject,
) -> JsonObject:
    """A change of a cash balance; `details` is the field named after its type."""
    return {
        "id": new_id("customer_cash_balance_transaction"),
        "object": "customer_cash_balance_transaction",
        "created": created,
        "currency": currency,
        "customer": customer_id,
        "customer_account": None,
        "ending_balance": ending_balance,
        kind: details,
        "livemode": False,
        "net_amount": net_amount,
        "type": kind,
    }


def funding(transfer_type: str, reference: str | None) -> JsonObject:
    """Details of a transfer that arrived."""
    sender: dict[str, Any] = dict.fromkeys(_SENDER_FIELDS.get(transfer_type, ()))
    sender |= {"sender_name": "Test Customer"} if sender else {}
    shown = {transfer_type: sender} if sender else {}
    return {"bank_transfer": {**shown, "reference": reference, "type": transfer_type}}


_SENDER_FIELDS = {
    "eu_bank_transfer": ("bic", "iban_last4", "sender_name"),
    "gb_bank_transfer": ("account_number_last4", "sender_name", "sort_code"),
    "jp_bank_transfer": ("sender_bank", "sender_branch", "sender_name"),
    "us_bank_transfer": ("sender_name",),
}


def transfer_instructions(
    transfer_type: str, amount: int, currency: str, reference: str
) -> JsonObject:
    """`next_action` of a payment that waits for a bank transfer."""
    return {
        "display_bank_transfer_instructions": {
            "amount_remaining": amount,
            "currency": currency,
            "hosted_instructions_url": None,
            "reference": reference,
            "type": transfer_type,
        },
        "type": "display_bank_transfer_instructions",
    }
