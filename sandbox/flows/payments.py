"""Life cycle of a payment intent: confirmed, authenticated, charged, declined, canceled.

Stripe docs: https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sandbox.account import Account
from sandbox.errors import CardError
from sandbox.flows import balance, captures, cash_balance, disputes, fraud_warnings, saved_methods
from sandbox.flows.declines import (
    Decline,
    approved,
    authentication_error,
    bank_decline,
)
from sandbox.flows.payment_methods import find_test_card, test_bank_account, test_card
from sandbox.flows.testcards import Card
from sandbox.json_types import JsonObject
from sandbox.objects import payments as objects
from sandbox.objects.setup_intents import mandate
from sandbox.webhooks.events import emit

_CARD_FEE = (0.029, 30)


class ConfirmationStatus(StrEnum):
    """Status of a payment intent after its confirmation; a decline raises CardError instead."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    REQUIRES_CONFIRMATION = "requires_confirmation"


def create_intent(
    account: Account, amount: int, currency: str, *, payment_method_types: list[str], **fields: Any
) -> JsonObject:
    """Create a payment intent."""
    intent = objects.payment_intent(
        amount,
        currency,
        created=account.clock.timestamp(),
        payment_method_types=payment_method_types,
        payment_method_options=objects.payment_method_options(payment_method_types),
        **fields,
    )
    account.store.add(intent)
    emit(account, "payment_intent.created", intent)
    return intent


def confirm(
    account: Account,
    intent: JsonObject,
    method: JsonObject,
    *,
    authenticated: bool = False,
    may_authenticate: bool = True,
) -> ConfirmationStatus:
    """Charge the payment method. Raises CardError on a decline, after recording it.

    A card that needs 3D Secure is declined if the customer may not be asked to authenticate.
    """
    if method["type"] == cash_balance.METHOD_TYPE:
        cash_balance.wait_for_transfer(account, intent, method)
        return ConfirmationStatus(intent["status"])
    if method["type"] != "card":
        return _start_debit(account, intent, method)
    card = test_card(account, method)
    decline = card.decline
    authenticated = authenticated or _was_authenticated(account, intent, method)
    if card.authenticate and not authenticated:
        if may_authenticate:
            return _ask_for_authentication(account, intent, method)
        decline = "authentication_required"
    charged = objects.charge(
        intent, method, created=account.clock.timestamp(), authenticated=authenticated
    )
    if decline is not None:
        raise _decline(account, intent, charged, method, Decline(decline))
    paid = account.store.add(charged)
    if intent["capture_method"] == "manual":
        captures.authorize(account, intent, method, paid)
        _save_method(account, intent, method)
        return ConfirmationStatus.REQUIRES_CAPTURE
    _succeed(account, intent, method, paid)
    _open_dispute(account, paid, card)
    if card.fraud_warning:
        fraud_warnings.warn(account, paid)
    return ConfirmationStatus.SUCCEEDED


def finish_authentication(
    account: Account, intent: JsonObject, method: JsonObject
) -> ConfirmationStatus:
    """Go on after a passed 3D Secure check. Raises CardError.

    With manual confirmation, the server confirms once more; else the card is charged at once.
    """
    if intent["confirmation_method"] == "automatic":
        return confirm(account, intent, method, authenticated=True)
    intent.update(status="requires_confirmation", next_action=None)
    private = account.store.get_private(intent["id"])
    account.store.set_private(intent["id"], {**private, "authenticated": method["id"]})
    account.store.save(intent)
    return ConfirmationStatus.REQUIRES_CONFIRMATION


def _was_authenticated(account: Account, intent: JsonObject, method: JsonObject) -> bool:
    authenticated = account.store.get_private(intent["id"]).get("authenticated")
    return bool(authenticated == method["id"])


def fail_authentication(account: Account, intent: JsonObject, method: JsonObject) -> None:
    """Record a failed 3D Secure check; there is no charge."""
    _fail(account, intent, authentication_error(method))


def settle_debit(account: Account, intent: JsonObject) -> bool:
    """Complete or fail a bank debit. Returns whether it succeeded."""
    method = account.store.get("payment_method", intent["payment_method"])
    debited = account.store.get("charge", intent["latest_charge"])
    if test_bank_account(account, method).succeeds:
        _succeed(account, intent, method, debited)
        return True
    debited.update(
        status="failed",
        failure_code="insufficient_funds",
        failure_message="The customer's account has insufficient funds to cover this payment.",
        outcome=Decline("insufficient_funds").outcome(),
    )
    emit(account, "charge.failed", account.store.save(debited))
    _fail(account, intent, bank_decline(debited["id"], method))
    return False


def cancel(account: Account, intent: JsonObject, reason: str | None) -> None:
    """Cancel a payment intent. The hold of an authorized payment is released."""
    if intent["status"] == ConfirmationStatus.REQUIRES_CAPTURE:
        captures.release(account, intent, "charge.refunded")
    intent.update(
        status="canceled",
        canceled_at=account.clock.timestamp(),
        cancellation_reason=reason,
        next_action=None,
    )
    emit(account, "payment_intent.canceled", account.store.save(intent))


def expire_authorization(account: Account, intent: str) -> None:
    """Cancel a payment that was not captured in time."""
    held = account.store.get("payment_intent", intent)
    if held["status"] == ConfirmationStatus.REQUIRES_CAPTURE:
        captures.release(account, held, "charge.expired")
        held["status"] = "canceled"
        cancel(account, held, "automatic")


def add_charge_to_balance(account: Account, charge: str) -> None:
    """Add a charge's balance transaction; Stripe does so a moment later, with `charge.updated`."""
    paid = account.store.get("charge", charge)
    rate, fixed = _CARD_FEE
    booked = objects.balance_transaction(
        "charge" if paid["id"].startswith("ch_") else "payment",
        amount=paid["amount_captured"],
        fee=min(paid["amount_captured"], round(paid["amount_captured"] * rate) + fixed),
        currency=paid["currency"],
        source=paid["id"],
        created=account.clock.timestamp(),
        category="charge",
    )
    card = find_test_card(account, paid["payment_method"])
    balance.add_funds(account, booked, available=card is not None and card.available_at_once)
    paid.update(
        balance_transaction=booked["id"],
        receipt_url=f"{account.base_url}/c/receipt/{paid['id']}",
    )
    previous = {"balance_transaction": None, "receipt_url": None}
    emit(account, "charge.updated", account.store.save(paid), previous)


def _succeed(account: Account, intent: JsonObject, method: JsonObject, paid: JsonObject) -> None:
    paid.update(
        status="succeeded",
        paid=True,
        captured=True,
        amount_captured=paid["amount"],
        outcome=approved(),
    )
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=paid["id"],
        payment_method=method["id"],
        next_action=None,
        last_payment_error=None,
        processing=None,
    )
    emit(account, "charge.succeeded", account.store.save(paid))
    emit(account, "payment_intent.succeeded", account.store.save(intent))
    _save_method(account, intent, method)
    account.jobs.add("add_charge_to_balance", delay=account.options.settle_delay, charge=paid["id"])


def _save_method(account: Account, intent: JsonObject, method: JsonObject) -> None:
    """Attach the payment method to the customer, if the payment asked for its future use."""
    options = intent["payment_method_options"].get(method["type"]) or {}
    future = intent["setup_future_usage"] or options.get("setup_future_usage")
    if future and intent["customer"] and method["customer"] is None:
        saved_methods.attach(account, method, intent["customer"])


def _open_dispute(account: Account, paid: JsonObject, card: Card) -> None:
    if card.dispute is not None:
        reason, status = card.dispute
        disputes.open_dispute(account, paid["id"], reason=reason, status=status)


def _start_debit(account: Account, intent: JsonObject, method: JsonObject) -> ConfirmationStatus:
    debited = objects.charge(intent, method, created=account.clock.timestamp())
    if acceptance := account.store.get_private(intent["id"]).get("acceptance"):
        _add_mandate(account, intent, method, debited, acceptance)
    account.store.add(debited)
    intent.update(
        status="processing",
        payment_method=method["id"],
        latest_charge=debited["id"],
        last_payment_error=None,
    )
    emit(account, "charge.pending", debited)
    emit(account, "payment_intent.processing", account.store.save(intent))
    _save_method(account, intent, method)
    delay = account.options.delayed_method_delay + 60 * test_bank_account(account, method).minutes
    account.jobs.add("settle_debit", delay=delay, intent=intent["id"])
    return ConfirmationStatus.PROCESSING


def _add_mandate(
    account: Account,
    intent: JsonObject,
    method: JsonObject,
    debited: JsonObject,
    acceptance: JsonObject,
) -> None:
    """Add the mandate of a debit: for further payments too, if they are asked for."""
    single_use = {"amount": intent["amount"], "currency": intent["currency"]}
    made = mandate(
        method, acceptance, single_use=None if intent["setup_future_usage"] else single_use
    )
    account.store.add(made)
    debited["payment_method_details"][method["type"]]["mandate"] = made["id"]


def _ask_for_authentication(
    account: Account, intent: JsonObject, method: JsonObject
) -> ConfirmationStatus:
    intent.update(
        status="requires_action",
        payment_method=method["id"],
        next_action={
            "type": "redirect_to_url",
            "redirect_to_url": {
                "return_url": account.store.get_private(intent["id"]).get("return_url"),
                "url": f"{account.base_url}/c/authenticate/{intent['id']}",
            },
        },
    )
    emit(account, "payment_intent.requires_action", account.store.save(intent))
    return ConfirmationStatus.REQUIRES_ACTION


def _decline(
    account: Account,
    intent: JsonObject,
    refused: JsonObject,
    method: JsonObject,
    decline: Decline,
) -> CardError:
    refused.update(
        status="failed",
        failure_code=decline.code,
        failure_message=decline.message,
        outcome=decline.outcome(),
    )
    emit(account, "charge.failed", account.store.add(refused))
    intent["latest_charge"] = refused["id"]
    _fail(account, intent, decline.payment_error(refused["id"], method))
    return CardError(
        decline.message,
        decline.code,
        charge=refused["id"],
        decline_code=decline.decline_code,
        payment_intent=intent,
        payment_method=method,
    )


def _fail(account: Account, intent: JsonObject, error: JsonObject) -> None:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        processing=None,
        last_payment_error=error,
    )
    emit(account, "payment_intent.payment_failed", account.store.save(intent))
