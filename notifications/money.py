"""Formats amounts (integers in a currency's smallest unit) and parses what staff type.

The number of decimals is Stripe's (docs.stripe.com/currencies): ISK and UGX have two there,
although the currencies themselves have none.
"""

from __future__ import annotations

import re
from decimal import Decimal

from django.utils.formats import number_format

ZERO_DECIMALS = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMALS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])

# A comma only groups thousands. In many countries 5,00 means 5.00: it must not become 500.
_AMOUNT = re.compile(r"(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?", re.ASCII)


def decimals(currency: str) -> int:
    if currency.lower() in ZERO_DECIMALS:
        return 0
    return 3 if currency.lower() in THREE_DECIMALS else 2


def show(amount: int, currency: str) -> str:
    """For staff, in English: `1,234.50 USD`, `2,000 JPY`, `1.500 KWD`."""
    return f"{plain(amount, currency, grouped=True)} {currency.upper()}"


def localized(amount: int, currency: str) -> str:
    """For customers, in the current language: in German `1.234,50 USD`."""
    value = number_format(plain(amount, currency), decimals(currency), force_grouping=True)
    return f"{value} {currency.upper()}"


def plain(amount: int, currency: str, *, grouped: bool = False) -> str:
    """The amount in whole units, without the currency: `1234.50`."""
    places = decimals(currency)
    value = Decimal(amount).scaleb(-places)
    return f"{value:{',' if grouped else ''}.{places}f}"


def parse(text: str, currency: str) -> int:
    """`12.50` or `1,200.50` in smallest units.

    Raises ValueError, with a message for the form, if the text is not an amount of this currency.
    """
    text = text.strip()
    if not _AMOUNT.fullmatch(text):
        example = plain(123456 if decimals(currency) else 1234, currency, grouped=True)
        raise ValueError(f"This is not an amount. Write it like {example}, or without the comma.")
    value = Decimal(text.replace(",", "")).scaleb(decimals(currency))
    if value != value.to_integral_value():
        raise ValueError(f"{currency.upper()} has {decimals(currency)} decimals.")
    if value >= 10**15:
        raise ValueError("This amount is too large.")
    return int(value)
