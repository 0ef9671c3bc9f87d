"""What an order and a key are called at the desk: one word or two, the most_severe first."""

from __future__ import annotations

from apikeys.models import ApiKey
from billing.models import Order


def order_state(order: Order) -> str:
    return str(order.state.label)


def key_state(key: ApiKey) -> str:
    return f"{key.state.label}, to be revealed" if key.is_revealable else str(key.state.label)
