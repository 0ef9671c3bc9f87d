"""Currencies: which there are, their minor units, least amounts, and how amounts are written.

Stripe docs: https://docs.stripe.com/currencies
"""

from __future__ import annotations

import re

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
_ZERO_DECIMAL = frozenset(
    (
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga",
        "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf",
    )
)  # fmt: skip
_THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))

_NAMES = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd "
    "bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp "
    "gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf "
    "krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn "
    "nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr "
    "sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv "
    "wst xaf xcd xcg xof xpf yer zar zmw"
)
CURRENCIES = tuple(_NAMES.split())

_LEAST_OF_CURRENCY = {
    "aed": 200, "bgn": 100, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500,
    "mxn": 1000, "myr": 200, "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip
_LEAST_OF_OTHERS = 50
MAX_AMOUNT = 99999999


def minimum_amount(currency: str) -> int:
    """The least amount of a payment. Stripe converts 0.50 USD for currencies it does not list."""
    return _LEAST_OF_CURRENCY.get(currency, _LEAST_OF_OTHERS)


def amount_text(amount: int, currency: str) -> str:
    """Format an amount in minor units: $20.00, ¥500, 9.50 CHF."""
    decimals = decimals_of(currency)
    number = f"{amount / 10**decimals:,.{decimals}f}"
    sign = _SYMBOLS.get(currency)
    return f"{sign}{number}" if sign else f"{number} {currency.upper()}"


def plain_amount(amount: int, currency: str) -> str:
    """An amount as people type it: 20.00, 500."""
    decimals = decimals_of(currency)
    return f"{amount / 10**decimals:.{decimals}f}"


def parse_amount(written: str, currency: str) -> int | None:
    """Minor units of an amount as people write it: 12.50, 1,234.50, 12,50, $5; None if it is none.

    The last full stop or comma is the decimal mark if no more digits follow it than the currency
    has decimals. Others separate thousands.
    """
    text = re.sub(rf"[\s']|{re.escape(currency)}", "", written, flags=re.IGNORECASE)
    text = text.strip("".join(_SYMBOLS.values()))
    decimals = decimals_of(currency)
    match = re.fullmatch(rf"(.*)([.,])(\d{{1,{decimals or 1}}})", text, re.ASCII)
    whole, mark, fraction = match.groups() if match and decimals else (text, "", "")
    thousands = r"\d{1,3}(,\d{3}){1,3}|\d{1,3}(\.\d{3}){1,3}"
    if not re.fullmatch(rf"\d{{1,12}}|{thousands}", whole, re.ASCII) or (mark and mark in whole):
        return None
    return int(re.sub(r"[.,]", "", whole) + fraction.ljust(decimals, "0"))


def decimals_of(currency: str) -> int:
    """How many decimals a currency's minor unit has."""
    return 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2
