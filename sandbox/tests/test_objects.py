"""The objects' fields equal those of the SDK's classes."""

from __future__ import annotations

import pytest
import stripe

from sandbox.json_types import JsonObject
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

CLASSES: dict[str, type[stripe.StripeObject]] = {
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "item": stripe.LineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "webhook_endpoint": stripe.WebhookEndpoint,
}

NOT_ALWAYS = {
    "OBJECT_NAME",  # of the class, not of the object
    "failure_balance_transaction",  # of a failed refund
    "payment_record",  # of a payment made elsewhere
    "pending_reason",  # of a pending refund
    "redirect_on_completion",  # of an embedded page
    "transfer",  # of a connected account
}


@pytest.fixture
def objects(shop: Shop) -> dict[str, JsonObject]:
    """One object of each kind."""
    session = shop.paid("4000000000001976")
    intent = shop.sandbox.object(session["payment_intent"])
    charge = shop.sandbox.object(intent["latest_charge"])
    v1 = shop.client.v1
    item = v1.checkout.sessions.line_items.list(session["id"]).data[0].to_dict()
    made = [
        charge["balance_transaction"],
        intent["payment_method"],
        item["price"]["id"],
        item["price"]["product"],
        v1.customers.create().id,
        v1.disputes.list().data[0].id,
        v1.refunds.create({"charge": charge["id"]}).id,
        v1.webhook_endpoints.list().data[0].id,
    ]
    found = [session, intent, charge, item, shop.sandbox.events()[0]]
    found += [shop.sandbox.object(identifier) for identifier in made]
    return {obj["object"]: obj for obj in found}


def test_every_field_is_one_the_sdk_knows(objects: dict[str, JsonObject]) -> None:
    unknown = {
        kind: sorted(set(objects[kind]) - set(known.__annotations__))
        for kind, known in CLASSES.items()
    }

    assert {kind: fields for kind, fields in unknown.items() if fields} == {}


def test_no_field_is_missing_that_the_sdk_takes_for_granted(
    objects: dict[str, JsonObject],
) -> None:
    missing = {
        kind: sorted(_certain_fields(known) - set(objects[kind])) for kind, known in CLASSES.items()
    }

    assert {kind: fields for kind, fields in missing.items() if fields} == {}


def _certain_fields(known: type[stripe.StripeObject]) -> set[str]:
    return {
        name
        for name, annotation in known.__annotations__.items()
        if not str(annotation).startswith(("Optional", "typing.Optional", "ClassVar"))
    } - NOT_ALWAYS
