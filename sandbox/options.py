"""Start options and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SANDBOX_PRICE = "price_sandbox_premium"


@dataclass(frozen=True)
class Options:
    """Start options. Times are in seconds."""

    port: int = 12111
    webhook: str | None = None
    webhook_secret: str | None = None
    state: Path | None = None
    socket: Path | None = None
    listen: str = "127.0.0.1"
    """Address to listen on; another than loopback needs `allowed_hosts`."""
    allowed_hosts: frozenset[str] = frozenset()
    """Names by which requests may reach it, beside those of this machine."""
    public_url: str | None = None
    """Base of the URLs in objects and pages; by default 127.0.0.1 and the port."""
    fixtures: Path | None = None
    """File of objects to create at the start."""
    prices: Mapping[str, str] = field(default_factory=dict)
    """Price id to tier name, in addition to the built-in price."""
    retry_delays: tuple[float, ...] = (2.0, 4.0, 8.0, 30.0, 120.0, 600.0, 3600.0)
    """Delay before the second, third, … delivery attempt. After the last one there are no more."""
    delivery_timeout: float = 10.0
    ack_timeout: float = 10.0
    """How long Checkout waits for a 2xx to `checkout.session.completed` before it redirects."""
    settle_delay: float = 1.5
    """Delay from a card payment to `charge.updated`, and from a refund to `refund.updated`."""
    delayed_method_delay: float = 5.0
    """Delay from the confirmation of a bank debit to its success or failure."""
    reconnect_delay: int = 600
    """Interval after which `stripe listen` reconnects."""


def prices_from(environment: Mapping[str, str]) -> dict[str, str]:
    """Price ids and tiers from `STRIPE_PRODUCT_PRICE_ID` and `STRIPE_PRICES`."""
    prices: dict[str, str] = {}
    if premium := environment.get("STRIPE_PRODUCT_PRICE_ID", "").strip():
        prices[premium] = "premium"
    for pair in environment.get("STRIPE_PRICES", "").split(","):
        tier, _, price = (part.strip() for part in pair.partition("="))
        if tier and price:
            prices[price] = tier
    return prices


def signing_secret_from(environment: Mapping[str, str]) -> str | None:
    """The first secret of the comma-separated `STRIPE_WEBHOOK_SECRET`."""
    first = environment.get("STRIPE_WEBHOOK_SECRET", "").split(",")[0].strip()
    return first or None
