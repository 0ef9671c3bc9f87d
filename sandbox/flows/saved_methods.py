"""Payment methods and cards saved to a customer: attached, detached, added, removed.

Stripe docs: https://docs.stripe.com/payments/payment-methods and
https://docs.stripe.com/api/cards (cards in the older `sources` list).
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import ApiError, invalid
from sandbox.flows.payment_methods import create_payment_method
from sandbox.flows.testcards import CARD_TOKENS
from sandbox.json_types import JsonObject
from sandbox.objects.payments import card_source
from sandbox.store import Query
from sandbox.webhooks.events import emit


def attach(account: Account, method: JsonObject, customer_id: str) -> JsonObject:
    """Save a payment method to a customer. Raises a 400 if it was detached before."""
    if method["customer"] == customer_id:
        return method
    private = account.store.get_private(method["id"])
    if method["customer"] is not None:
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    if private.get("detached"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = customer_id
    emit(account, "payment_method.attached", account.store.save(method))
    return method


def detach(account: Account, method: JsonObject) -> JsonObject:
    """Remove a payment method from its customer; it cannot be used again."""
    customer_id = method["customer"]
    if customer_id is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = None
    private = account.store.get_private(method["id"])
    account.store.set_private(method["id"], {**private, "detached": True})
    previous = {"customer": customer_id}
    emit(account, "payment_method.detached", account.store.save(method), previous)
    return method


def add_source(account: Account, customer: JsonObject, token: str) -> JsonObject:
    """Add a card to a customer by its token; the first one becomes the default."""
    if token not in CARD_TOKENS:
        raise ApiError(400, f"No such token: '{token}'", code="resource_missing", param="source")
    method = create_payment_method(account, "card", {"token": token})
    account.store.remove(method["id"])
    made = card_source(method["card"], customer["id"])
    account.store.add(made, private={"number": CARD_TOKENS[token]})
    emit(account, "customer.source.created", made)
    if customer["default_source"] is None:
        customer["default_source"] = made["id"]
        emit(account, "customer.updated", account.store.save(customer), {"default_source": None})
    return made


def remove_source(account: Account, customer: JsonObject, source: JsonObject) -> None:
    """Remove a card from a customer; another one becomes the default."""
    account.store.remove(source["id"])
    emit(account, "customer.source.deleted", source)
    if customer["default_source"] == source["id"]:
        left = sources_of(account, customer["id"])
        customer["default_source"] = left[0]["id"] if left else None
        previous = {"default_source": source["id"]}
        emit(account, "customer.updated", account.store.save(customer), previous)


def sources_of(account: Account, customer_id: str) -> list[JsonObject]:
    """A customer's cards, newest first."""
    query = Query("card")
    query.where_equal("customer", customer_id)
    return account.store.select(query)
