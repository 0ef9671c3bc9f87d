from __future__ import annotations

import hashlib

import pytest

from apikeys import tokens


def test_a_key_is_sk_and_64_hex_digits_and_never_the_same() -> None:
    keys = {tokens.generate() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert tokens.is_well_formed(key)
        assert len(key) == 67


def test_the_digest_is_sha256_and_the_prefix_twenty_characters() -> None:
    key = "sk_" + "0123456789abcdef" * 4
    assert tokens.digest(key) == hashlib.sha256(key.encode()).hexdigest()
    assert tokens.prefix(key) == "sk_0123456789abcdef0"
    assert len(tokens.prefix(key)) == 20


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk_",
        "sk_" + "a" * 63,
        "sk_" + "a" * 65,
        "sk_" + "A" * 64,
        "sk_" + "g" * 64,
        "SK_" + "a" * 64,
        "sk_live_" + "a" * 59,
        "sk_" + "a" * 64 + "\n",
        " sk_" + "a" * 64,
        "sk_" + "\uff11" * 64,
    ],
)
def test_anything_else_is_not_a_key(text: str) -> None:
    assert not tokens.is_well_formed(text)
