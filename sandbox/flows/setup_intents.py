"""Life cycle of a setup intent: a payment method is checked and saved without a payment.

Stripe docs: https://docs.stripe.com/payments/setup-intents
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import CardError, invalid
from sandbox.flows import saved_methods
from sandbox.flows.declines import Decline, authentication_error
from sandbox.flows.payment_methods import test_card
from sandbox.json_types import JsonObject
from sandbox.objects import setup_intents as objects
from sandbox.webhooks.events import emit

_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(account: Account, **fields: object) -> JsonObject:
    """Create a setup intent."""
    intent = objects.setup_intent(created=account.clock.timestamp(), **fields)
    if intent["payment_method"]:
        intent["status"] = "requires_confirmation"
    account.store.add(intent)
    emit(account, "setup_intent.created", intent)
    return intent


def confirm(account: Account, intent: JsonObject, *, authenticated: bool = False) -> JsonObject:
    """Check the payment method and save it to the customer. Raises CardError on a decline."""
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "confirm")
    if not intent["payment_method"]:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method. "
            "Update the SetupIntent with a payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
        )
    method = account.store.get("payment_method", intent["payment_method"])
    attempt = objects.setup_attempt(intent, method, created=account.clock.timestamp())
    intent["latest_attempt"] = attempt["id"]
    if method["type"] == "card":
        card = test_card(account, method)
        if card.authenticate and not authenticated:
            account.store.add({**attempt, "status": "requires_action"})
            return _ask_for_authentication(account, intent)
        if card.decline is not None:
            account.store.add({**attempt, "status": "failed"})
            raise _decline(account, intent, method, Decline(card.decline))
    account.store.add(attempt)
    return _succeed(account, intent, method)


def fail_authentication(account: Account, intent: JsonObject) -> None:
    """Record a failed 3D Secure check."""
    method = account.store.get("payment_method", intent["payment_method"])
    error = authentication_error(method)
    _fail(account, intent, {**error, "code": "setup_intent_authentication_failure"})


def cancel(account: Account, intent: JsonObject, reason: str | None) -> JsonObject:
    """Cancel a setup intent."""
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected_state(intent, "cancel")
    intent.update(status="canceled", cancellation_reason=reason, next_action=None)
    emit(account, "setup_intent.canceled", account.store.save(intent))
    return intent


def _succeed(account: Account, intent: JsonObject, method: JsonObject) -> JsonObject:
    if acceptance := account.store.get_private(intent["id"]).get("acceptance"):
        made = objects.mandate(method, acceptance, single_use=None)
        intent["mandate"] = account.store.add(made)["id"]
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    emit(account, "setup_intent.succeeded", account.store.save(intent))
    if intent["customer"] and method["customer"] is None:
        saved_methods.attach(account, method, intent["customer"])
    return intent


def _ask_for_authentication(account: Account, intent: JsonObject) -> JsonObject:
    intent.update(
        status="requires_action",
        next_action={
            "type": "redirect_to_url",
            "redirect_to_url": {
                "return_url": account.store.get_private(intent["id"]).get("return_url"),
                "url": f"{account.base_url}/c/authenticate/{intent['id']}",
            },
        },
    )
    emit(account, "setup_intent.requires_action", account.store.save(intent))
    return intent


def _decline(
    account: Account, intent: JsonObject, method: JsonObject, decline: Decline
) -> CardError:
    error = decline.payment_error("", method)
    del error["charge"]
    _fail(account, intent, error)
    return CardError(
        decline.message,
        decline.code,
        decline_code=decline.decline_code,
        payment_method=method,
        setup_intent=intent,
    )


def _fail(account: Account, intent: JsonObject, error: JsonObject) -> None:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=error,
    )
    emit(account, "setup_intent.setup_failed", account.store.save(intent))


def _unexpected_state(intent: JsonObject, verb: str) -> Exception:
    return invalid(
        f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
    )
