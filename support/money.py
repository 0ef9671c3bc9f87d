"""Money for people: an integer in a currency's smallest unit, and back.

Decimals are Stripe's (docs.stripe.com/currencies): ISK and UGX have two there, although the
currencies themselves have none.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

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


def decimals(currency: str) -> int:
    if currency.lower() in ZERO_DECIMALS:
        return 0
    return 3 if currency.lower() in THREE_DECIMALS else 2


def show(amount: int, currency: str) -> str:
    """`1,234.50 USD`, `2,000 JPY`, `1.500 KWD`."""
    return f"{plain(amount, currency, grouped=True)} {currency.upper()}"


def plain(amount: int, currency: str, *, grouped: bool = False) -> str:
    """The amount in whole units, without the currency: `1234.50`."""
    places = decimals(currency)
    value = Decimal(amount).scaleb(-places)
    return f"{value:{',' if grouped else ''}.{places}f}"


def parse(text: str, currency: str) -> int:
    """The smallest units in `12.50`. Raises ValueError for what is no amount of this currency."""
    try:
        value = Decimal(text.strip().replace(",", "")).scaleb(decimals(currency))
    except InvalidOperation:
        raise ValueError("This is not an amount.") from None
    if not value.is_finite() or value != value.to_integral_value() or abs(value) >= 10**15:
        raise ValueError(f"{currency.upper()} has {decimals(currency)} decimals.")
    return int(value)
