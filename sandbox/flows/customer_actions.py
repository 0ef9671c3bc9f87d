"""Customer actions on the hosted pages: pay, pass or fail 3D Secure."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.account import Account
from sandbox.errors import ApiError, CardError
from sandbox.flows import checkout, payments, setup_intents
from sandbox.flows.collected import Collected, record
from sandbox.flows.declines import AUTHENTICATION_FAILED
from sandbox.flows.payment_methods import create_payment_method
from sandbox.flows.payments import ConfirmationStatus
from sandbox.json_types import JsonObject


@dataclass(frozen=True)
class PaymentMethodData:
    """A payment method type, its details and the billing contact."""

    kind: str
    details: JsonObject
    email: str | None = None
    name: str | None = None
    address: JsonObject | None = None
    saved: str | None = None
    """Id of the customer's saved payment method to pay with, instead of new details."""
    collected: Collected = field(default_factory=Collected)


@dataclass(frozen=True)
class PaymentResult:
    """Result of an attempt to pay."""

    status: str
    """`succeeded`, `processing` (a delayed method), `requires_action` (3DS) or `declined`."""
    message: str | None = None
    """Message for the customer, if declined."""
    param: str | None = None
    """The invalid parameter, if any."""
    redirect: str | None = None
    """URL to redirect the customer to."""
    event: str | None = None
    """Id of `checkout.session.completed`; Checkout redirects after its delivery."""


def pay(account: Account, session_id: str, data: PaymentMethodData) -> PaymentResult:
    """Try to pay a session. A decline is a result, not an exception."""
    session = account.store.get("checkout.session", session_id, param="session")
    try:
        checkout.refuse_unless_open(session)
        with account.change():
            record(account, session, data.collected)
            method = _payment_method(account, session, data)
            progress = checkout.confirm(account, session, method)
    except CardError as error:
        return _declined(error)
    return _result(account, session, progress)


def authenticate(account: Account, session_id: str, *, passed: bool) -> PaymentResult:
    """Pass or fail the 3D Secure check of a session that waits for it."""
    session = account.store.get("checkout.session", session_id, param="session")
    checkout.refuse_unless_open(session)
    intent = _waiting_intent(account, session)
    if not passed:
        with account.change():
            checkout.fail_authentication(account, session)
        return PaymentResult("declined", message=AUTHENTICATION_FAILED)
    method = account.store.get("payment_method", intent["payment_method"])
    try:
        with account.change():
            progress = checkout.confirm(account, session, method, authenticated=True)
    except CardError as error:
        return _declined(error)
    return _result(account, session, progress)


def authenticate_intent(account: Account, intent_id: str, *, passed: bool) -> PaymentResult:
    """Pass or fail the 3D Secure check of a payment intent created without a session."""
    intent = account.store.get("payment_intent", intent_id, param="intent")
    if not waits_for_authentication(intent):
        raise ApiError(400, "This PaymentIntent is not waiting for authentication.")
    method = account.store.get("payment_method", intent["payment_method"])
    redirect = account.store.get_private(intent_id).get("return_url")
    try:
        with account.change():
            if not passed:
                payments.fail_authentication(account, intent, method)
                return PaymentResult("declined", message=AUTHENTICATION_FAILED, redirect=redirect)
            progress = payments.finish_authentication(account, intent, method)
    except CardError as error:
        return PaymentResult("declined", message=error.message, redirect=redirect)
    return PaymentResult(progress, redirect=redirect)


def authenticate_setup(account: Account, intent_id: str, *, passed: bool) -> PaymentResult:
    """Pass or fail the 3D Secure check of a setup intent."""
    intent = account.store.get("setup_intent", intent_id, param="intent")
    if intent["status"] != ConfirmationStatus.REQUIRES_ACTION:
        raise ApiError(400, "This SetupIntent is not waiting for authentication.")
    redirect = account.store.get_private(intent_id).get("return_url")
    try:
        with account.change():
            if not passed:
                setup_intents.fail_authentication(account, intent)
                return PaymentResult("declined", message=AUTHENTICATION_FAILED, redirect=redirect)
            setup_intents.confirm(account, intent, authenticated=True)
    except CardError as error:
        return PaymentResult("declined", message=error.message, redirect=redirect)
    return PaymentResult(ConfirmationStatus.SUCCEEDED, redirect=redirect)


def awaits_authentication(account: Account, session: JsonObject) -> bool:
    """Whether a session waits for 3D Secure."""
    intent = account.store.find(session["payment_intent"] or "")
    return intent is not None and waits_for_authentication(intent)


def waits_for_authentication(intent: JsonObject) -> bool:
    """Whether a payment or setup intent waits for 3D Secure, not for a bank transfer."""
    return bool(
        intent["status"] == ConfirmationStatus.REQUIRES_ACTION
        and intent["next_action"]["type"] == "redirect_to_url"
    )


def return_url(session: JsonObject) -> str:
    """The session's `success_url` with its id filled in."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _payment_method(
    account: Account, session: JsonObject, data: PaymentMethodData
) -> JsonObject | None:
    if session["amount_total"] == 0:
        session["customer_email"] = session["customer_email"] or data.email
        return None
    if data.saved is not None:
        return _saved_method(account, session, data.saved)
    billing: JsonObject = {
        "address": data.address,
        "email": data.email,
        "name": data.name,
        "phone": data.collected.phone,
    }
    made = create_payment_method(account, data.kind, data.details, billing)
    redisplay = account.store.get_private(session["id"]).get("allow_redisplay")
    if data.collected.save_method:
        redisplay = "always"
    if redisplay:
        made["allow_redisplay"] = redisplay
        account.store.save(made)
    return made


def _saved_method(account: Account, session: JsonObject, identifier: str) -> JsonObject:
    method = account.store.get("payment_method", identifier, param="payment_method")
    if session["customer"] is None or method["customer"] != session["customer"]:
        raise ApiError(400, "This payment method is not saved to the customer.")
    return method


def _waiting_intent(account: Account, session: JsonObject) -> JsonObject:
    if not awaits_authentication(account, session):
        raise ApiError(400, "This Checkout Session is not waiting for authentication.")
    return account.store.get("payment_intent", session["payment_intent"])


def _declined(error: CardError) -> PaymentResult:
    return PaymentResult(
        "declined", message=error.message, param=error.param or _error_param(error)
    )


def _error_param(error: CardError) -> str | None:
    return {"incorrect_cvc": "cvc", "expired_card": "exp_month"}.get(error.code or "")


def _result(account: Account, session: JsonObject, progress: ConfirmationStatus) -> PaymentResult:
    if progress is ConfirmationStatus.REQUIRES_ACTION:
        return PaymentResult(progress)
    event = account.store.get_private(session["id"])["completed_event"]
    return PaymentResult(progress, redirect=return_url(session), event=event)
