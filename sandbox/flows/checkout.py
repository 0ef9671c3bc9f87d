"""Life cycle of a Checkout Session: opened, paid, pending (delayed method), free or expired.

Stripe docs: https://docs.stripe.com/payments/checkout/how-checkout-works
"""

from __future__ import annotations

from sandbox.account import API_VERSION, Account
from sandbox.errors import invalid
from sandbox.flows import payments
from sandbox.flows.collected import add_to_details, payment_shipping, update_customer
from sandbox.flows.create_session import build_session
from sandbox.flows.invoices import create_invoice
from sandbox.flows.payments import ConfirmationStatus
from sandbox.flows.presentment import local_price
from sandbox.flows.saved_methods import attach
from sandbox.flows.session_discounts import count_redemption
from sandbox.json_types import JsonObject
from sandbox.objects.customers import customer
from sandbox.objects.sessions import customer_details
from sandbox.params import Params
from sandbox.webhooks.events import emit

_RECOVERY_LIFETIME = 30 * 86400


def open_session(account: Account, session: JsonObject, private: JsonObject) -> JsonObject:
    """Store a new session and schedule its expiry."""
    account.store.add(session, private=private)
    lifetime = session["expires_at"] - account.clock.now()
    account.jobs.add("expire_session", delay=lifetime, session=session["id"])
    return session


def confirm(
    account: Account,
    session: JsonObject,
    method: JsonObject | None,
    *,
    authenticated: bool = False,
) -> ConfirmationStatus:
    """Pay a session. Raises CardError if the card is declined; the session then stays open."""
    refuse_unless_open(session)
    private = account.store.get_private(session["id"])
    billing = method["billing_details"] if method else {}
    known = (session["customer_details"] or {}).get("email")
    details = customer_details(session["customer_email"] or known, billing)
    session["customer_details"] = add_to_details(session, private, details)
    if session["amount_total"] == 0:
        _complete(account, session, "no_payment_required")
        return ConfirmationStatus.SUCCEEDED
    if method is None:
        raise invalid("Missing required param: payment_method.", param="payment_method")
    intent = _get_or_create_intent(account, session)
    _present(account, session, intent, private)
    progress = payments.confirm(account, intent, method, authenticated=authenticated)
    if progress is not ConfirmationStatus.REQUIRES_ACTION:
        session["customer"] = session["customer"] or intent["customer"]
    if progress is ConfirmationStatus.REQUIRES_ACTION:
        return progress
    if (private.get("collected") or {}).get("save_method") and intent["customer"]:
        attach(account, method, intent["customer"])
    paid = progress is ConfirmationStatus.SUCCEEDED
    _complete(account, session, "paid" if paid else "unpaid")
    return progress


def refuse_unless_open(session: JsonObject) -> None:
    """Raise Stripe's error if a session is complete or expired."""
    if session["status"] != "open":
        raise invalid(
            f"This Checkout Session has a status of {session['status']} and can no longer be paid.",
            code="checkout_session_not_open",
        )


def fail_authentication(account: Account, session: JsonObject) -> None:
    """Record a failed 3D Secure check; the session stays open."""
    intent = account.store.get("payment_intent", session["payment_intent"])
    method = account.store.get("payment_method", intent["payment_method"])
    payments.fail_authentication(account, intent, method)


def settle_debit(account: Account, intent: str) -> None:
    """Complete or fail a pending bank debit, and update its session."""
    debited = account.store.get("payment_intent", intent)
    if debited["status"] != ConfirmationStatus.PROCESSING:
        return
    succeeded = payments.settle_debit(account, debited)
    session_id = account.store.get_private(intent).get("session")
    if session_id is None:
        return
    session = account.store.get("checkout.session", session_id)
    session["payment_status"] = "paid" if succeeded else "unpaid"
    if succeeded and session["invoice_creation"]["enabled"]:
        session["invoice"] = create_invoice(account, session)["id"]
    kind = f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}"
    emit(account, kind, account.store.save(session))


def expire(account: Account, session: JsonObject) -> JsonObject:
    """Expire an open session and cancel its payment intent."""
    if session["status"] != "open":
        raise invalid(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {session['status']}."
        )
    session.update(status="expired", url=None)
    if (session["after_expiration"] or {}).get("recovery"):
        session["after_expiration"]["recovery"].update(
            expires_at=account.clock.timestamp() + _RECOVERY_LIFETIME,
            url=f"{account.base_url}/c/recover/{session['id']}",
        )
    account.store.save(session)
    if session["payment_intent"]:
        intent = account.store.get("payment_intent", session["payment_intent"])
        payments.cancel(account, intent, "automatic")
    emit(account, "checkout.session.expired", session)
    return session


def recover(account: Account, session: JsonObject) -> JsonObject:
    """Open a copy of an expired session. Raises a 400 if it has no valid recovery link."""
    recovery = (session["after_expiration"] or {}).get("recovery") or {}
    now = account.clock.timestamp()
    if recovery.get("url") is None or recovery["expires_at"] <= now:
        raise invalid("This link is no longer valid.")
    asked = {
        name: value
        for name, value in account.store.get_private(session["id"])["params"].items()
        if name not in {"expires_at", "expand"}
    }
    if recovery["allow_promotion_codes"] and "discounts" not in asked:
        asked["allow_promotion_codes"] = "true"
    renewed, private = build_session(account, Params(asked), version=API_VERSION)
    renewed["recovered_from"] = session["id"]
    return open_session(account, renewed, private)


def expire_when_due(account: Account, session: str) -> None:
    """Expire a session at its `expires_at`, if it is still open."""
    due = account.store.get("checkout.session", session)
    if due["status"] == "open":
        expire(account, due)


def _get_or_create_intent(account: Account, session: JsonObject) -> JsonObject:
    """The session's payment intent, created at the first confirmation, with the amount due now."""
    private = account.store.get_private(session["id"])
    collected = private.get("collected") or {}
    shipping = payment_shipping(session, collected)
    if session["payment_intent"]:
        account.store.save(session)
        intent = account.store.get("payment_intent", session["payment_intent"])
        intent.update(amount=session["amount_total"], shipping=shipping or intent["shipping"])
        return account.store.save(intent)
    asked = private["payment_intent_data"]
    intent = payments.create_intent(
        account,
        session["amount_total"],
        session["currency"],
        customer=session["customer"] or _new_customer(account, session),
        payment_method_types=session["payment_method_types"],
        **{**asked, "shipping": shipping or asked["shipping"]},
    )
    for kind, options in session["payment_method_options"].items():
        intent["payment_method_options"].setdefault(kind, {}).update(options)
    account.store.save(intent)
    account.store.set_private(intent["id"], {"session": session["id"]})
    session["payment_intent"] = intent["id"]
    account.store.save(session)
    return intent


def _present(
    account: Account, session: JsonObject, intent: JsonObject, private: JsonObject
) -> None:
    """Note the currency that the customer chose to pay in, if it is offered."""
    chosen = (private.get("collected") or {}).get("presentment_currency")
    country = (session["customer_details"]["address"] or {}).get("country")
    presented = local_price(session, country)
    if presented and presented["presentment_currency"] == chosen:
        session["presentment_details"] = presented
        intent["presentment_details"] = presented
        account.store.save(session)
        account.store.save(intent)


def _new_customer(account: Account, session: JsonObject) -> str | None:
    """The id of a new customer, if the session asks for one."""
    if session["customer_creation"] != "always" and not session["invoice_creation"]["enabled"]:
        return None
    details = session["customer_details"]
    collected = account.store.get_private(session["id"]).get("collected") or {}
    shipping = payment_shipping(session, collected)
    made = customer(
        created=account.clock.timestamp(),
        shipping=shipping and {name: shipping[name] for name in ("address", "name", "phone")},
        **{name: details[name] for name in ("address", "email", "name", "phone")},
    )
    emit(account, "customer.created", account.store.add(made))
    return str(made["id"])


def _complete(account: Account, session: JsonObject, payment_status: str) -> None:
    if session["customer"] is None and payment_status == "no_payment_required":
        session["customer"] = _new_customer(account, session)
    invoices = session["invoice_creation"]["enabled"]
    if invoices and payment_status != "unpaid":
        session["invoice"] = create_invoice(account, session)["id"]
    session.update(status="complete", payment_status=payment_status, url=None)
    private = account.store.get_private(session["id"])
    update_customer(account, session, private)
    count_redemption(account, private)
    completed = emit(account, "checkout.session.completed", account.store.save(session))
    if session["payment_link"]:
        _count_completed(account, session["payment_link"])
    account.store.set_private(session["id"], {**private, "completed_event": completed["id"]})


def _count_completed(account: Account, link_id: str) -> None:
    """Count a completed session of a payment link with a limit."""
    link = account.store.find(link_id)
    if link is not None and link["restrictions"] is not None:
        link["restrictions"]["completed_sessions"]["count"] += 1
        account.store.save(link)
