"""Decides what can be set when the sandbox starts, and what holds when nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SANDBOX_PRICE = "price_sandbox_premium"


@dataclass(frozen=True)
class Options:
    """How one sandbox runs. Times are seconds."""

    port: int = 12111
    webhook: str | None = None
    webhook_secret: str | None = None
    state: Path | None = None
    socket: Path | None = None
    prices: Mapping[str, str] = field(default_factory=dict)
    """Price id to tier name, beside the price that is always there."""
    retry_delays: tuple[float, ...] = (2.0, 4.0, 8.0, 30.0, 120.0, 600.0, 3600.0)
    """Waits before the second, third, … attempt to deliver; after the last one it gives up."""
    delivery_timeout: float = 10.0
    ack_timeout: float = 10.0
    """How long Checkout waits for the acknowledgement of the payment before it redirects."""
    settle_delay: float = 1.5
    """From a card payment to its `charge.updated`, from a refund to its `refund.updated`."""
    delayed_method_delay: float = 5.0
    """From the confirmation of a bank debit to its success or failure."""
    reconnect_delay: int = 600
    """After how long `stripe listen` is asked to start a fresh connection."""


def prices_from(environment: Mapping[str, str]) -> dict[str, str]:
    """The price ids an application is configured with, and the tiers they are for."""
    prices: dict[str, str] = {}
    if premium := environment.get("STRIPE_PRODUCT_PRICE_ID", "").strip():
        prices[premium] = "premium"
    for pair in environment.get("STRIPE_PRICES", "").split(","):
        tier, _, price = (part.strip() for part in pair.partition("="))
        if tier and price:
            prices[price] = tier
    return prices


def signing_secret_from(environment: Mapping[str, str]) -> str | None:
    """The first of the comma-separated secrets, which is the one to sign with."""
    first = environment.get("STRIPE_WEBHOOK_SECRET", "").split(",")[0].strip()
    return first or None
