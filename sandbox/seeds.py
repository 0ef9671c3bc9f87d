"""Prices created at the start: a built-in one, and those the application is configured with."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.account import Account
from sandbox.objects import catalog
from sandbox.options import SANDBOX_PRICE

_AMOUNTS = {
    "free": 0,
    "starter": 500,
    "basic": 900,
    "standard": 1500,
    "premium": 2000,
    "pro": 4900,
    "team": 9900,
    "business": 19900,
    "enterprise": 49900,
}
_AMOUNT_OF_OTHERS = 2500


def create_prices(account: Account, prices: Mapping[str, str]) -> None:
    """Create the built-in price and the given ones, unless they exist."""
    with account.change():
        for identifier, tier in {SANDBOX_PRICE: "premium", **prices}.items():
            if account.store.find(identifier) is None:
                _create_price(account, identifier, tier)


def _create_price(account: Account, identifier: str, tier: str) -> None:
    now = account.clock.timestamp()
    name = tier.replace("_", " ").replace("-", " ").title()
    product = catalog.product(name, created=now, metadata={"tier": tier})
    price = catalog.price(
        product["id"],
        id=identifier,
        currency="usd",
        unit_amount=_AMOUNTS.get(tier, _AMOUNT_OF_OTHERS),
        created=now,
        nickname=name,
        metadata={"tier": tier},
    )
    account.store.add({**product, "default_price": identifier})
    account.store.add(price)
