"""Adaptive pricing: the customer pays in the currency of the billing country.

The exchange rates are made up and never change. Stripe docs:
https://docs.stripe.com/payments/currencies/localize-prices/adaptive-pricing
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from sandbox.json_types import JsonObject
from sandbox.money import decimals_of

_UNITS_PER_DOLLAR = {
    "aud": "1.50", "cad": "1.36", "chf": "0.88", "dkk": "6.90", "eur": "0.92", "gbp": "0.79",
    "jpy": "150", "nok": "10.70", "nzd": "1.64", "pln": "4.00", "sek": "10.50", "usd": "1",
}  # fmt: skip
_CURRENCY_OF_COUNTRY = {
    "AU": "aud", "CA": "cad", "CH": "chf", "DK": "dkk", "GB": "gbp", "JP": "jpy", "NO": "nok",
    "NZ": "nzd", "PL": "pln", "SE": "sek", "US": "usd",
    **dict.fromkeys(
        (
            "AT", "BE", "CY", "DE", "EE", "ES", "FI", "FR", "GR", "HR", "IE", "IT", "LT", "LU",
            "LV", "MT", "NL", "PT", "SI", "SK",
        ),
        "eur",
    ),
}  # fmt: skip


def local_price(session: JsonObject, country: str | None) -> JsonObject | None:
    """The total in a country's currency, if the session offers another one than its own."""
    currency = _CURRENCY_OF_COUNTRY.get((country or "").upper())
    own = session["currency"]
    offered = session["adaptive_pricing"]["enabled"] and own in _UNITS_PER_DOLLAR
    if not offered or currency is None or currency == own:
        return None
    return {
        "presentment_amount": _convert(int(session["amount_total"]), own, currency),
        "presentment_currency": currency,
    }


def _convert(amount: int, source: str, target: str) -> int:
    dollars = Decimal(amount).scaleb(-decimals_of(source)) / Decimal(_UNITS_PER_DOLLAR[source])
    converted = dollars * Decimal(_UNITS_PER_DOLLAR[target])
    return int(converted.scaleb(decimals_of(target)).to_integral_value(ROUND_HALF_UP))
