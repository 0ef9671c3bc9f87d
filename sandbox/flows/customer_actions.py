"""Decides what a customer can do on the payment page: pay, pass 3D Secure or fail it."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.account import Account
from sandbox.errors import ApiError, CardError
from sandbox.flows import checkout, payments
from sandbox.flows.declines import AUTHENTICATION_FAILED
from sandbox.flows.payment_methods import create_method
from sandbox.flows.payments import Progress
from sandbox.json_types import JsonObject


@dataclass(frozen=True)
class Payment:
    """How the customer means to pay: a kind of method and its details."""

    kind: str
    details: JsonObject
    email: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt to pay."""

    status: str
    """`succeeded`, `processing` (a delayed method), `requires_action` (3DS) or `declined`."""
    message: str | None = None
    """What the customer is told when it was declined."""
    param: str | None = None
    """Which detail was at fault."""
    redirect: str | None = None
    """Where the customer goes when it was accepted."""
    event: str | None = None
    """The completion event, whose acknowledgement Checkout waits for."""


def pay(account: Account, session_id: str, payment: Payment) -> Outcome:
    """Try to pay a session; a refusal is an outcome, not an exception."""
    session = account.store.get("checkout.session", session_id, param="session")
    try:
        checkout.refuse_unless_open(session)
        with account.change():
            progress = checkout.confirm(account, session, _method(account, session, payment))
    except CardError as refusal:
        return _declined(refusal)
    return _outcome(account, session, progress)


def authenticate(account: Account, session_id: str, *, passed: bool) -> Outcome:
    """Answer the 3D Secure question of a session that is waiting for it."""
    session = account.store.get("checkout.session", session_id, param="session")
    checkout.refuse_unless_open(session)
    intent = _waiting_intent(account, session)
    if not passed:
        with account.change():
            checkout.fail_authentication(account, session)
        return Outcome("declined", message=AUTHENTICATION_FAILED)
    method = account.store.get("payment_method", intent["payment_method"])
    try:
        with account.change():
            progress = checkout.confirm(account, session, method, authenticated=True)
    except CardError as refusal:
        return _declined(refusal)
    return _outcome(account, session, progress)


def authenticate_intent(account: Account, intent_id: str, *, passed: bool) -> Outcome:
    """Answer the 3D Secure question of a payment intent that no session has made."""
    intent = account.store.get("payment_intent", intent_id, param="intent")
    if intent["status"] != Progress.REQUIRES_ACTION:
        raise ApiError(400, "This PaymentIntent is not waiting for authentication.")
    method = account.store.get("payment_method", intent["payment_method"])
    redirect = account.store.private(intent_id).get("return_url")
    try:
        with account.change():
            if not passed:
                payments.fail_authentication(account, intent, method)
                return Outcome("declined", message=AUTHENTICATION_FAILED, redirect=redirect)
            progress = payments.confirm(account, intent, method, authenticated=True)
    except CardError as refusal:
        return Outcome("declined", message=refusal.message, redirect=redirect)
    return Outcome(progress, redirect=redirect)


def awaits_authentication(account: Account, session: JsonObject) -> bool:
    """Whether a session's customer has been sent to 3D Secure."""
    intent = account.store.find(session["payment_intent"] or "")
    return intent is not None and intent["status"] == Progress.REQUIRES_ACTION


def return_url(session: JsonObject) -> str:
    """Where a customer who has paid goes."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _method(account: Account, session: JsonObject, payment: Payment) -> JsonObject | None:
    if session["amount_total"] == 0:
        session["customer_email"] = session["customer_email"] or payment.email
        return None
    billing = {"email": payment.email, "name": payment.name}
    return create_method(account, payment.kind, payment.details, billing)


def _waiting_intent(account: Account, session: JsonObject) -> JsonObject:
    if not awaits_authentication(account, session):
        raise ApiError(400, "This Checkout Session is not waiting for authentication.")
    return account.store.get("payment_intent", session["payment_intent"])


def _declined(refusal: CardError) -> Outcome:
    return Outcome("declined", message=refusal.message, param=refusal.param or _at_fault(refusal))


def _at_fault(refusal: CardError) -> str | None:
    return {"incorrect_cvc": "cvc", "expired_card": "exp_month"}.get(refusal.code or "")


def _outcome(account: Account, session: JsonObject, progress: Progress) -> Outcome:
    if progress is Progress.REQUIRES_ACTION:
        return Outcome(progress)
    event = account.store.private(session["id"])["completed_event"]
    return Outcome(progress, redirect=return_url(session), event=event)
