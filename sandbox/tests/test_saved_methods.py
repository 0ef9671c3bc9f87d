"""Payment methods and cards that are saved to a customer."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http


def customer(shop: Shop, **params: Any) -> str:
    given: Any = {"email": "jenny@example.com", **params}
    return shop.client.v1.customers.create(given).id


def attached(shop: Shop, owner: str) -> stripe.PaymentMethod:
    return shop.client.v1.payment_methods.attach("pm_card_visa", {"customer": owner})


def types(shop: Shop, prefix: str) -> list[str]:
    names = [event["type"] for event in shop.sandbox.events()]
    return [name for name in names if name.startswith(prefix)]


def test_a_payment_method_is_attached_listed_and_detached(shop: Shop) -> None:
    owner = customer(shop)
    method = attached(shop, owner)

    listed = shop.client.v1.customers.payment_methods.list(owner, {"type": "card"}).data
    gone = shop.client.v1.payment_methods.detach(method.id)

    assert method.customer == owner
    assert [each.id for each in listed] == [method.id]
    assert gone.customer is None
    assert shop.client.v1.customers.payment_methods.list(owner).data == []
    assert types(shop, "payment_method.") == ["payment_method.attached", "payment_method.detached"]


def test_a_detached_payment_method_cannot_be_attached_again(shop: Shop) -> None:
    owner = customer(shop)
    method = attached(shop, owner)
    shop.client.v1.payment_methods.detach(method.id)

    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        shop.client.v1.payment_methods.attach(method.id, {"customer": owner})
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        shop.client.v1.payment_methods.detach(method.id)


def test_a_payment_method_has_one_customer(shop: Shop) -> None:
    method = attached(shop, customer(shop))

    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        shop.client.v1.payment_methods.attach(method.id, {"customer": customer(shop)})


def test_a_payment_method_is_updated_only_when_it_is_saved(shop: Shop) -> None:
    method = attached(shop, customer(shop))
    loose = shop.client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})

    updated = shop.client.v1.payment_methods.update(
        method.id,
        {
            "metadata": {"foo": "bar"},
            "card": {"exp_year": 2039},
            "billing_details": {"name": "Jenny", "address": {"city": "Wien"}},
        },
    )

    assert updated.metadata is not None
    assert updated.metadata["foo"] == "bar"
    assert updated.card is not None
    assert updated.card.exp_year == 2039
    assert updated.billing_details.name == "Jenny"
    assert updated.billing_details.address is not None
    assert updated.billing_details.address.city == "Wien"
    event = shop.sandbox.events("payment_method.updated")[0]["data"]
    assert event["previous_attributes"]["metadata"] == {}
    with pytest.raises(stripe.InvalidRequestError, match="must save this PaymentMethod"):
        shop.client.v1.payment_methods.update(loose.id, {"metadata": {"foo": "bar"}})


def test_a_customer_can_be_created_with_a_payment_method(shop: Shop) -> None:
    owner = customer(shop, payment_method="pm_card_mastercard")

    (saved,) = shop.client.v1.customers.payment_methods.list(owner).data

    assert saved.card is not None
    assert saved.card.brand == "mastercard"
    assert shop.client.v1.customers.payment_methods.retrieve(owner, saved.id).id == saved.id
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        shop.client.v1.customers.payment_methods.retrieve(customer(shop), saved.id)


def test_a_payment_for_future_use_saves_its_method(shop: Shop) -> None:
    owner = customer(shop)

    paid = shop.client.v1.payment_intents.create(
        {
            "amount": 900,
            "currency": "usd",
            "customer": owner,
            "confirm": True,
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types": ["card"],
            "setup_future_usage": "off_session",
        }
    )

    assert shop.client.v1.payment_methods.retrieve(str(paid.payment_method)).customer == owner
    assert types(shop, "payment_method.") == ["payment_method.attached"]


def test_a_card_is_added_changed_and_removed_as_a_source(shop: Shop) -> None:
    owner = customer(shop)
    sources = shop.client.v1.customers.payment_sources

    added: Any = sources.create(owner, {"source": "tok_visa", "metadata": {"a": "b"}})
    update: Any = {"name": "Jenny", "exp_month": 3}
    changed: Any = sources.update(owner, added.id, update)
    listed = sources.list(owner, {"object": "card"}).data
    removed: Any = sources.delete(owner, added.id)

    assert (added.object, added.brand, added.last4) == ("card", "Visa", "4242")
    assert (changed.name, changed.exp_month) == ("Jenny", 3)
    assert [each.id for each in listed] == [added.id]
    assert removed.deleted is True
    verbs = ("created", "updated", "deleted")
    assert types(shop, "customer.source") == [f"customer.source.{verb}" for verb in verbs]


def test_the_first_source_is_the_default_and_another_follows_it(shop: Shop) -> None:
    owner = customer(shop, source="tok_visa")
    sources = shop.client.v1.customers.payment_sources
    second: Any = sources.create(owner, {"source": "tok_mastercard"})

    first = str(shop.client.v1.customers.retrieve(owner).default_source)
    sources.delete(owner, first)

    assert first != second.id
    assert shop.client.v1.customers.retrieve(owner).default_source == second.id


def test_an_unknown_token_is_no_source(shop: Shop) -> None:
    owner = customer(shop)

    with pytest.raises(stripe.InvalidRequestError, match="No such token"):
        shop.client.v1.customers.payment_sources.create(owner, {"source": "tok_none"})
    with pytest.raises(stripe.InvalidRequestError, match="No such source"):
        shop.client.v1.customers.payment_sources.retrieve(owner, "card_none")
