"""Builders of the account and its balance."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.json_types import JsonObject


def account(identifier: str) -> JsonObject:
    """The account that owns the API keys."""
    return {
        "id": identifier,
        "object": "account",
        "business_type": None,
        "capabilities": {
            "card_payments": "active",
            "sepa_debit_payments": "active",
            "us_bank_account_ach_payments": "active",
        },
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }


def balance(available: Mapping[str, int], pending: Mapping[str, int]) -> JsonObject:
    """The account's balance; amounts by currency."""
    return {
        "object": "balance",
        "available": [_amount(currency, amount) for currency, amount in available.items()],
        "livemode": False,
        "pending": [_amount(currency, amount) for currency, amount in pending.items()],
    }


def _amount(currency: str, amount: int) -> JsonObject:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}
