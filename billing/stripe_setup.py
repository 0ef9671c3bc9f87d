"""Set up a Stripe account for this deployment, or say what is wrong with it.

A product, a one-time price and a webhook endpoint with our API version and exactly our events.
What exists is found again (the price by its lookup key, the endpoint by its URL), so a second run
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.urls import reverse

from billing.events.handlers import SUBSCRIPTION
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER

PRODUCT_ID = "payflow"
LOOKUP_KEY = f"payflow_{DEFAULT_TIER}"
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What a price is created with, if there is none."""

    amount: int
    currency: str
    product_name: str


def webhook_url(base: str) -> str:
    return base.rstrip("/") + reverse("stripe-webhook").removesuffix("/")


def problems(base: str) -> Iterator[str]:
    """What is wrong, a sentence each. Raises client.StripeFailed."""
    yield from _price_problems()
    url = webhook_url(base)
    yield from _endpoint_problems(url)
    if not _known_secrets():
        yield "STRIPE_WEBHOOK_SECRET is not set."
    if settings.STRIPE_LIVEMODE and urlsplit(url).scheme != "https":
        yield f"{url} is not https: Stripe sends live events to https only."
    yield from _reachability_problems(url)


def set_up(base: str, offer: Offer | None) -> dict[str, str]:
    """Create and correct what is needed; return the variables that have to change.

    Raises client.StripeFailed, and ValueError if there is no price and no offer to make one of.
    """
    variables = {}
    if settings.STRIPE_PRICES[DEFAULT_TIER] in settings.STRIPE_UNSET.values():
        variables["STRIPE_PRODUCT_PRICE_ID"] = _price(offer)["id"]
    url = webhook_url(base)
    endpoint = _endpoint(url)
    if endpoint is None or endpoint["api_version"] != client.API_VERSION:
        # The version of an endpoint can't be changed. The old one goes on until it is deleted.
        made = client.create_webhook_endpoint(url, SUBSCRIPTION)
        variables["STRIPE_WEBHOOK_SECRET"] = ",".join([str(made["secret"]), *_known_secrets()])
    elif list(_subscription_problems(endpoint)):
        client.update_webhook_endpoint(endpoint["id"], SUBSCRIPTION)
    return variables


def _known_secrets() -> list[str]:
    unset = settings.STRIPE_UNSET.values()
    return [secret for secret in settings.STRIPE_WEBHOOK_SECRETS if secret not in unset]


def _price(offer: Offer | None) -> client.Json:
    found = client.find_price(LOOKUP_KEY)
    if found is not None:
        return found
    if offer is None:
        raise ValueError("There is no price yet: give --amount and --currency to create one.")
    return client.create_price(
        LOOKUP_KEY,
        product=PRODUCT_ID,
        name=offer.product_name,
        amount=offer.amount,
        currency=offer.currency,
    )


def _price_problems() -> Iterator[str]:
    for tier, price_id in settings.STRIPE_PRICES.items():
        if price_id in settings.STRIPE_UNSET.values():
            yield "STRIPE_PRODUCT_PRICE_ID is not set."
            continue
        price = client.retrieve_price(price_id)
        if price is None:
            mode = "live" if settings.STRIPE_LIVEMODE else "test"
            yield f"Tier {tier}: {mode} mode has no price {price_id}. Is it of the other mode?"
        elif price["type"] != "one_time":
            yield f"Tier {tier}: the price {price_id} is recurring. Use a one-time price."
        elif not (price["active"] and price["product"].get("active", True)):
            yield f"Tier {tier}: the price {price_id} or its product is archived."


def _endpoint_problems(url: str) -> Iterator[str]:
    endpoint = _endpoint(url)
    if endpoint is None:
        yield f"There is no webhook endpoint with the URL {url}."
        return
    yield from _subscription_problems(endpoint)
    if endpoint["api_version"] != client.API_VERSION:
        used = endpoint["api_version"] or "the account's default"
        yield f"The webhook endpoint has API version {used}, not {client.API_VERSION}."


def _endpoint(url: str) -> client.Json | None:
    """Our endpoint: of several with this URL, one with our API version."""
    found = [each for each in client.webhook_endpoints() if each["url"].rstrip("/") == url]
    ours = [each for each in found if each["api_version"] == client.API_VERSION]
    return next(iter([*ours, *found]), None)


def _subscription_problems(endpoint: client.Json) -> Iterator[str]:
    if endpoint["status"] != "enabled":
        yield "The webhook endpoint is disabled."
    enabled = set(endpoint["enabled_events"])
    if missing := [] if enabled == {"*"} else sorted(set(SUBSCRIPTION) - enabled):
        yield f"The webhook endpoint lacks {', '.join(missing)}."
    if extra := sorted(enabled - set(SUBSCRIPTION)):
        yield f"The webhook endpoint sends what is not handled: {', '.join(extra)}."


def _reachability_problems(url: str) -> Iterator[str]:
    """An unsigned delivery must be refused by payflow itself."""
    try:
        answer = requests.post(url, data=b"{}", timeout=TIMEOUT, allow_redirects=False)
        refused = answer.status_code == 400 and answer.json().get("code") == "invalid_signature"
    except requests.JSONDecodeError:
        refused = False
    except requests.RequestException as error:
        yield f"{url} can't be reached from here ({type(error).__name__})."
        return
    if not refused:
        yield f"{url} answers {answer.status_code}, and not as payflow does."
