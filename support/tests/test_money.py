"""Amounts read and written, and secrets left out of payloads."""

from __future__ import annotations

import pytest

from support import money
from support.redaction import REDACTED, redacted


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


@pytest.mark.parametrize(
    "payload",
    [
        {"client_secret": "pi_1_secret_2"},
        {"deep": [{"secret": "x"}]},
        {"card": {"number": "4242424242424242", "cvc": "123"}},
        {"text": "use whsec_abc123 now"},
        {"text": "rk_live_abcdef"},
        {"text": "sk_" + "0f" * 32},
        {"text": "eyJhbGciOi.eyJzdWIi.c2lnbmF0"},
    ],
)
def test_secrets_do_not_survive(payload: dict[str, object]) -> None:
    shown = str(redacted(payload))
    assert REDACTED in shown
    for secret in ("secret_2", "4242", "whsec", "rk_live", "0f0f", "eyJ", "'x'"):
        assert secret not in shown


def test_everything_else_stays_as_it_is() -> None:
    payload = {"id": "evt_1", "amount": 5, "metadata": {"user_id": "1"}, "url": None, "n": [1, 2]}
    assert redacted(payload) == payload
    assert redacted("sk_" + "0f" * 8 + "0") == "sk_" + "0f" * 8 + "0"  # a stored prefix
