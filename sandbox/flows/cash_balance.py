"""A customer's cash balance: filled by bank transfers, used by the payments that wait for them.

Stripe docs: https://docs.stripe.com/payments/customer-balance
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid
from sandbox.flows.declines import approved
from sandbox.identifiers import random_text
from sandbox.json_types import JsonObject
from sandbox.objects import cash_balance as objects
from sandbox.objects import payments
from sandbox.store import Query
from sandbox.webhooks.events import emit

TRANSFER_OF_CURRENCY = {
    "eur": "eu_bank_transfer",
    "gbp": "gb_bank_transfer",
    "jpy": "jp_bank_transfer",
    "mxn": "mx_bank_transfer",
    "usd": "us_bank_transfer",
}
METHOD_TYPE = "customer_balance"


def balance_of(account: Account, customer_id: str) -> JsonObject:
    """A customer's cash balance."""
    return objects.cash_balance(customer_id, _available(account, customer_id))


def wait_for_transfer(account: Account, intent: JsonObject, method: JsonObject) -> None:
    """Ask the customer for a bank transfer; money that is already there is used at once."""
    if intent["customer"] is None:
        raise invalid(
            "You must provide a customer when using the `customer_balance` payment method type.",
            param="customer",
            code="parameter_missing",
        )
    transfer = TRANSFER_OF_CURRENCY.get(intent["currency"])
    if transfer is None:
        raise invalid(
            f"The currency provided ({intent['currency']}) is invalid for the payment method type "
            "customer_balance.",
            param="payment_method_types",
        )
    reference = random_text(12).upper()
    intent.update(
        status="requires_action",
        payment_method=method["id"],
        next_action=objects.transfer_instructions(
            transfer, intent["amount"], intent["currency"], reference
        ),
        last_payment_error=None,
    )
    emit(account, "payment_intent.requires_action", account.store.save(intent))
    _use_for(account, intent)


def fund(
    account: Account, customer_id: str, amount: int, currency: str, reference: str | None
) -> JsonObject:
    """Add a bank transfer to a customer's cash balance and use it for waiting payments."""
    transfer = TRANSFER_OF_CURRENCY.get(currency)
    if transfer is None:
        raise invalid(f"Bank transfers are not available in {currency}.", param="currency")
    details = objects.funding(transfer, reference)
    added = _change(account, customer_id, "funded", amount, currency, details)
    emit(account, "cash_balance.funds_available", balance_of(account, customer_id))
    for intent in _waiting(account, customer_id, currency):
        _use_for(account, intent)
    return added


def _use_for(account: Account, intent: JsonObject) -> None:
    """Pay a waiting payment, as far as the balance goes."""
    instructions = intent["next_action"]["display_bank_transfer_instructions"]
    remaining = int(instructions["amount_remaining"])
    available = _available(account, intent["customer"]).get(intent["currency"], 0)
    amount = min(remaining, available)
    if not amount:
        return
    details = {"payment_intent": intent["id"]}
    _change(account, intent["customer"], "applied_to_payment", -amount, intent["currency"], details)
    if amount == remaining:
        _succeed(account, intent)
        return
    instructions["amount_remaining"] = remaining - amount
    emit(account, "payment_intent.partially_funded", account.store.save(intent))


def _succeed(account: Account, intent: JsonObject) -> None:
    method = account.store.get("payment_method", intent["payment_method"])
    paid = payments.charge(intent, method, created=account.clock.timestamp())
    paid.update(
        status="succeeded",
        paid=True,
        captured=True,
        amount_captured=paid["amount"],
        outcome=approved(),
    )
    account.store.add(paid)
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=paid["id"],
        next_action=None,
    )
    emit(account, "charge.succeeded", paid)
    emit(account, "payment_intent.succeeded", account.store.save(intent))
    account.jobs.add("add_charge_to_balance", delay=account.options.settle_delay, charge=paid["id"])


def _change(
    account: Account, customer_id: str, kind: str, amount: int, currency: str, details: JsonObject
) -> JsonObject:
    available = _available(account, customer_id)
    ending = available.get(currency, 0) + amount
    private = account.store.get_private(customer_id)
    balance = {name: each for name, each in {**available, currency: ending}.items() if each}
    account.store.set_private(customer_id, {**private, "cash_balance": balance})
    made = objects.cash_transaction(
        kind,
        customer_id,
        net_amount=amount,
        ending_balance=ending,
        currency=currency,
        created=account.clock.timestamp(),
        details=details,
    )
    account.store.add(made)
    emit(account, "customer_cash_balance_transaction.created", made)
    return made


def _available(account: Account, customer_id: str) -> dict[str, int]:
    return dict(account.store.get_private(customer_id).get("cash_balance", {}))


def _waiting(account: Account, customer_id: str, currency: str) -> list[JsonObject]:
    query = Query("payment_intent")
    query.where_equal("customer", customer_id)
    query.where_equal("currency", currency)
    query.where_equal("status", "requires_action")
    query.where_equal("next_action.type", "display_bank_transfer_instructions")
    return account.store.select(query, oldest_first=True)
