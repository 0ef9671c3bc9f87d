"""Formats amounts for display."""

from __future__ import annotations

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
# Stripe docs: https://docs.stripe.com/currencies#zero-decimal
_ZERO_DECIMAL = frozenset(
    (
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga",
        "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf",
    )
)  # fmt: skip


def amount_text(amount: int, currency: str) -> str:
    """Format an amount in minor units: $20.00, ¥500, 9.50 CHF."""
    decimals = 0 if currency in _ZERO_DECIMAL else 2
    number = f"{amount / 10**decimals:,.{decimals}f}"
    sign = _SYMBOLS.get(currency)
    return f"{sign}{number}" if sign else f"{number} {currency.upper()}"
