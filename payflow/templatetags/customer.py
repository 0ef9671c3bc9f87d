"""Template tags of the customer's pages: states, amounts, and what a key or a page is of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template

from apikeys.models import ApiKey
from billing import offers
from billing.fulfilment import KEY_NAME
from billing.models import Order
from notifications import money
from payflow.pages import statuses

register = template.Library()

register.simple_tag(money.localized, name="amount")
register.filter("order_status", statuses.of_order)
register.filter("refund_status", statuses.of_refund)
register.filter("key_status", statuses.of_key)


@register.simple_tag
def offer() -> offers.Offer | None:
    """What is sold and what it costs; None while Stripe has not said so."""
    return offers.offer()


@register.simple_tag
def with_payments(keys: Iterable[ApiKey]) -> list[ApiKey]:
    """The keys, each with the order that pays for it as `payment`."""
    listed = list(keys)
    paying = Order.objects.filter(grant__in={key.grant_id for key in listed})
    of_grant = {order.grant_id: order for order in paying.select_related("conversation")}
    for key in listed:
        key.payment = of_grant.get(key.grant_id)  # type: ignore[attr-defined]
    return listed


@register.filter
def title(key: Any) -> str:
    """The name that its owner gave the key, else its conversation's."""
    payment = getattr(key, "payment", None)
    if key.name == KEY_NAME and payment is not None:
        return str(payment.conversation.title)
    return str(key.name)
