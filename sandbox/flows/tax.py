"""Automatic tax: which rate applies where, and the tax on an amount.

The rates are made up: they only resemble those of the countries. Do not use them for real taxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sandbox.json_types import JsonObject
from sandbox.objects.taxes import tax_rate

_VAT_PERCENT = {
    "AT": 20, "BE": 21, "BG": 20, "CH": 8, "CY": 19, "CZ": 21, "DE": 19, "DK": 25, "EE": 22,
    "ES": 21, "FI": 25, "FR": 20, "GB": 20, "GR": 24, "HR": 25, "HU": 27, "IE": 23, "IT": 22,
    "LT": 21, "LU": 17, "LV": 21, "MT": 18, "NL": 21, "NO": 25, "PL": 23, "PT": 23, "RO": 19,
    "SE": 25, "SI": 22, "SK": 23,
}  # fmt: skip
_OTHER_TAXES = {"AU": ("gst", 10), "CA": ("gst", 5), "JP": ("jct", 10), "NZ": ("gst", 15)}
_SALES_TAX_PERCENT = 8
_STATES_WITHOUT_SALES_TAX = frozenset({"DE", "MT", "NH", "OR"})
_NAMES = {"gst": "GST", "jct": "JCT", "sales_tax": "Sales tax", "vat": "VAT"}
# Stripe's automatic choice for prices whose tax_behavior is unspecified.
_EXCLUSIVE_BY_DEFAULT = frozenset({"cad", "usd"})


@dataclass(frozen=True)
class Taxation:
    """The tax that applies to a customer."""

    rate: JsonObject
    reason: str


def taxation(location: JsonObject, *, exempt: str, created: int) -> Taxation:
    """The tax at an address. `exempt` is the customer's `tax_exempt`."""
    country, state = location.get("country") or "", location.get("state")
    kind, percent, level = _rate_of(country, state)
    reason = "standard_rated" if percent else "not_collecting"
    if exempt == "exempt":
        percent, reason = 0, "customer_exempt"
    elif exempt == "reverse":
        percent, reason = 0, "reverse_charge"
    rate = tax_rate(
        float(percent),
        created=created,
        country=country or None,
        display_name=_NAMES[kind],
        jurisdiction=state if level == "state" else country or None,
        jurisdiction_level=level,
        state=state if level == "state" else None,
        tax_type=kind,
    )
    return Taxation(rate, reason)


def is_inclusive(tax_behavior: str | None, currency: str) -> bool:
    """Whether a price includes its tax."""
    if tax_behavior in {"exclusive", "inclusive"}:
        return tax_behavior == "inclusive"
    return currency not in _EXCLUSIVE_BY_DEFAULT


def tax_on(amount: int, taxation: Taxation, *, inclusive: bool) -> JsonObject:
    """The tax on an amount, as the `taxes` lists show it."""
    percent = Decimal(str(taxation.rate["percentage"]))
    divisor = 100 + percent if inclusive else Decimal(100)
    tax = int((amount * percent / divisor).to_integral_value(ROUND_HALF_UP))
    return {
        "amount": tax,
        "rate": {**taxation.rate, "inclusive": inclusive},
        "taxability_reason": taxation.reason,
        "taxable_amount": amount - tax if inclusive else amount,
    }


def _rate_of(country: str, state: str | None) -> tuple[str, int, str]:
    if country == "US":
        percent = 0 if state in _STATES_WITHOUT_SALES_TAX else _SALES_TAX_PERCENT
        return "sales_tax", percent, "state" if state else "country"
    if country in _OTHER_TAXES:
        kind, percent = _OTHER_TAXES[country]
        return kind, percent, "country"
    return "vat", _VAT_PERCENT.get(country, 0), "country"
