"""Life cycle of a refund: full or partial, immediate, pending or failing later.

Stripe docs: https://docs.stripe.com/refunds and https://docs.stripe.com/testing#refunds
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid, not_supported
from sandbox.flows import fraud_warnings
from sandbox.flows.disputes import dispute_of
from sandbox.flows.testcards import CARDS
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.objects import refunds_and_disputes
from sandbox.objects.payments import balance_transaction
from sandbox.webhooks.events import emit


def charge_to_refund(account: Account, intent: JsonObject) -> str:
    """The id of a payment intent's successful charge. Raises a 400 if there is none."""
    if intent["status"] != "succeeded" or not intent["latest_charge"]:
        raise invalid(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return str(intent["latest_charge"])


def create_refund(
    account: Account,
    charge_id: str,
    *,
    amount: int | None,
    reason: str | None,
    metadata: JsonObject,
) -> JsonObject:
    """Refund an amount, or the rest of the charge. Raises a 400 beyond that."""
    paid = account.store.get("charge", charge_id, param="charge")
    amount = _refundable(account, paid, amount)
    fate = _refund_behaviour(account, paid)
    made = refunds_and_disputes.refund(
        paid,
        amount,
        created=account.clock.timestamp(),
        reason=reason,
        metadata=metadata,
        status="pending" if fate == "pending" else "succeeded",
    )
    made["balance_transaction"] = _add_to_balance(account, made)
    account.store.add(made)
    emit(account, "refund.created", made)
    _set_refunded(account, paid, int(paid["amount_refunded"]) + amount)
    account.jobs.add(
        "settle_refund", delay=account.options.settle_delay, refund=made["id"], fate=fate
    )
    return made


def settle_refund(account: Account, refund: str, fate: str) -> None:
    """Complete or fail a refund, some seconds after its creation."""
    made = account.store.get("refund", refund)
    if fate == "failed":
        fail_refund(account, made)
        return
    previous: JsonObject = {}
    if card := made["destination_details"].get("card"):
        previous["destination_details"] = {"card": {"reference_status": card["reference_status"]}}
        card.update(reference="4215512345678901", reference_status="available")
    if made["status"] == "pending":
        previous["status"] = "pending"
        made["status"] = "succeeded"
    emit_refund_updated(account, account.store.save(made), previous)


def fail_refund(account: Account, made: JsonObject) -> None:
    """Fail a refund: the amount returns to the charge."""
    previous = {"status": made["status"]}
    made.update(
        status="failed",
        failure_reason="expired_or_canceled_card",
        failure_balance_transaction=_add_to_balance(account, made, reverse=True),
    )
    account.store.save(made)
    paid = account.store.get("charge", made["charge"])
    paid["amount_refunded"] -= made["amount"]
    paid["refunded"] = False
    account.store.save(paid)
    emit(account, "refund.failed", made)
    emit_refund_updated(account, made, previous)


def emit_refund_updated(account: Account, made: JsonObject, previous: JsonObject) -> None:
    """Emit both events that Stripe sends for an updated refund."""
    emit(account, "refund.updated", made, previous)
    emit(account, "charge.refund.updated", made, previous)


def _refundable(account: Account, paid: JsonObject, wanted: int | None) -> int:
    if paid["status"] != "succeeded":
        raise invalid(f"Charge {paid['id']} has not succeeded and cannot be refunded.")
    disputed = dispute_of(account, paid["id"]) if paid["disputed"] else None
    if disputed is not None and not disputed["is_charge_refundable"]:
        raise invalid(
            f"Charge {paid['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    if paid["payment_method_details"]["type"] == "customer_balance":
        raise not_supported("refunds of bank transfers")
    left = int(paid["amount"]) - int(paid["amount_refunded"])
    if not left:
        raise invalid(
            f"Charge {paid['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = left if wanted is None else wanted
    if amount < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        raise invalid(_exceeds_message(amount, left, str(paid["currency"])), param="amount")
    return amount


def _exceeds_message(amount: int, left: int, currency: str) -> str:
    return (
        f"Refund amount ({amount_text(amount, currency)}) is greater than "
        f"unrefunded amount on charge ({amount_text(left, currency)})"
    )


def _refund_behaviour(account: Account, paid: JsonObject) -> str:
    if paid["payment_method_details"]["type"] != "card":
        return "pending"  # a bank transfer takes its time
    number = account.store.get_private(paid["payment_method"]).get("number", "")
    card = CARDS.get(number)
    return card.refund if card else "succeeded"


def _set_refunded(account: Account, paid: JsonObject, total: int) -> None:
    before = {"amount_refunded": paid["amount_refunded"], "refunded": paid["refunded"]}
    paid["amount_refunded"] = total
    paid["refunded"] = total == paid["amount"]
    previous = {name: value for name, value in before.items() if paid[name] != value}
    emit(account, "charge.refunded", account.store.save(paid), previous)
    if paid["refunded"]:
        fraud_warnings.close(account, paid["id"])


def _add_to_balance(account: Account, made: JsonObject, *, reverse: bool = False) -> str:
    booked = balance_transaction(
        "refund_failure" if reverse else "refund",
        amount=int(made["amount"]) if reverse else -int(made["amount"]),
        fee=0,
        currency=made["currency"],
        source=made["id"],
        created=account.clock.timestamp(),
        category="refund_failure" if reverse else "refund",
    )
    return str(account.store.add(booked)["id"])
