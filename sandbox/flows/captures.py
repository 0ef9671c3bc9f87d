"""Manual capture: a card payment is authorized first and captured, canceled or expired later.

Stripe docs: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid
from sandbox.flows.declines import approved
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.webhooks.events import emit

AUTHORIZATION_LIFETIME = 7 * 86400


def authorize(account: Account, intent: JsonObject, method: JsonObject, paid: JsonObject) -> None:
    """Hold the amount of a card payment."""
    paid.update(status="succeeded", paid=True, captured=False, outcome=approved())
    paid["payment_method_details"]["card"]["capture_before"] = (
        account.clock.timestamp() + AUTHORIZATION_LIFETIME
    )
    intent.update(
        status="requires_capture",
        amount_capturable=intent["amount"],
        latest_charge=paid["id"],
        payment_method=method["id"],
        next_action=None,
        last_payment_error=None,
    )
    emit(account, "charge.succeeded", account.store.save(paid))
    emit(account, "payment_intent.amount_capturable_updated", account.store.save(intent))
    account.jobs.add("expire_authorization", delay=AUTHORIZATION_LIFETIME, intent=intent["id"])


def capture(account: Account, intent: JsonObject, amount: int | None) -> JsonObject:
    """Capture an authorized payment, wholly or in part; the rest of the hold is released."""
    held = int(intent["amount_capturable"])
    amount = held if amount is None else amount
    if amount > held:
        raise invalid(
            "The amount_to_capture is greater than the amount that can be captured: "
            f"{amount_text(held, intent['currency'])}.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    paid = account.store.get("charge", intent["latest_charge"])
    previous: JsonObject = {"captured": False, "amount_captured": 0}
    if amount < held:
        previous["amount_refunded"] = 0
    paid.update(captured=True, amount_captured=amount, amount_refunded=held - amount)
    intent.update(status="succeeded", amount_capturable=0, amount_received=amount)
    emit(account, "charge.captured", account.store.save(paid), previous)
    emit(account, "payment_intent.succeeded", account.store.save(intent))
    account.jobs.add("add_charge_to_balance", delay=account.options.settle_delay, charge=paid["id"])
    return intent


def release(account: Account, intent: JsonObject, event_type: str) -> None:
    """Release the hold of a payment that is canceled (`charge.refunded`) or has expired."""
    paid = account.store.get("charge", intent["latest_charge"])
    paid.update(refunded=True, amount_refunded=paid["amount"])
    intent["amount_capturable"] = 0
    previous = {"amount_refunded": 0, "refunded": False}
    emit(account, event_type, account.store.save(paid), previous)
