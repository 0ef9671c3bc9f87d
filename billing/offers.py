"""What a tier is called and costs, from Stripe.

Pages show it before anything is paid. They wait for Stripe only briefly, and one request at a time:
others show what is known, or no price.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.cache import caches

from billing.stripe import client, objects

FRESH_FOR = 600  # seconds until Stripe is asked again
KEPT_FOR = 7 * 24 * 3600  # an older price is better than none while Stripe does not answer
ASK_EVERY = 30
PATIENCE = 1.5


@dataclass(frozen=True, slots=True)
class Offer:
    name: str
    description: str
    amount_cents: int
    currency: str


def offer(tier: str = objects.DEFAULT_TIER) -> Offer | None:
    """What the tier costs; None while that is not known."""
    price_id = settings.STRIPE_PRICES[tier]
    known = caches["results"].get(_key(price_id))
    if not (known and time.time() - known["at"] < FRESH_FOR):
        known = _ask(price_id) or known
    return Offer(**known["offer"]) if known else None


def asked(price_id: str) -> str:
    """The name in the cache that says Stripe was asked just now."""
    return f"{_key(price_id)}:asked"


def _key(price_id: str) -> str:
    return f"offer:{settings.STRIPE_API_BASE}:{price_id}"


def _ask(price_id: str) -> dict[str, Any] | None:
    """Ask Stripe, unless somebody did so just now."""
    if not caches["results"].add(asked(price_id), 1, ASK_EVERY):
        return None
    try:
        with client.within(PATIENCE):
            found = objects.parse_offer(client.retrieve_price(price_id) or {})
    except (client.StripeFailed, ValueError):
        return None
    if found is None:
        return None
    answer = {"at": time.time(), "offer": asdict(Offer(*found))}
    caches["results"].set(_key(price_id), answer, KEPT_FOR)
    return answer
