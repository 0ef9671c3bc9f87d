"""The flows whose responses and events are compared: every route, card, button and refusal."""

from __future__ import annotations

from sandbox.conformance.client import Client
from sandbox.conformance.flows import (
    catalog,
    checkout,
    checkout_options,
    customers,
    intents,
    refunds_and_disputes,
    webhooks,
)
from sandbox.conformance.flows.catalog import create_catalog

_FLOWS = [
    *catalog.FLOWS,
    *customers.FLOWS,
    *checkout.FLOWS,
    *checkout_options.FLOWS,
    *intents.FLOWS,
    *refunds_and_disputes.FLOWS,
    *webhooks.FLOWS,
]


def run_all(client: Client) -> None:
    """Run every flow, in the order of the modules."""
    create_catalog(client)
    for flow in _FLOWS:
        flow(client)
        client.settle()
