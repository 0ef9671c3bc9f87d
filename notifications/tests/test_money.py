"""Amounts read and written."""

from __future__ import annotations

import pytest

from notifications import money


@pytest.mark.parametrize(
    ("text", "currency", "cents"),
    [
        ("12.5", "usd", 1250),
        ("1,200", "usd", 120000),
        ("1,234,567.89", "usd", 123456789),
        ("1200", "jpy", 1200),
        ("1,200", "jpy", 1200),
        ("0.001", "kwd", 1),
        ("1,234.567", "kwd", 1234567),
    ],
)
def test_an_amount_is_read_in_its_currency(text: str, currency: str, cents: int) -> None:
    assert money.parse(text, currency) == cents
    assert money.parse(money.plain(cents, currency), currency) == cents


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("5,00", "usd"),
        ("1,5", "usd"),
        ("12,34,567", "usd"),
        ("1234,567", "usd"),
        ("1,000,", "usd"),
        (",500", "usd"),
        ("1.234,567", "usd"),
        ("5,00", "jpy"),
        ("1,50", "kwd"),
    ],
)
def test_a_comma_that_groups_no_thousands_is_never_dropped(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match="Write it like"):
        money.parse(text, currency)


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd"])
@pytest.mark.parametrize("text", ["\uff11\uff12", "1e1", "1_0", "+5", "$5", "5 USD", "5.", ".5"])
def test_only_plain_digits_are_an_amount(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        money.parse(text, currency)


@pytest.mark.parametrize("text", ["", "x", "1.001", "NaN", "Infinity", "1e99", "9" * 18])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimals"):
        money.parse(text, "usd")
