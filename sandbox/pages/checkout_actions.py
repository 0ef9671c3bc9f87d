"""HTTP handlers of the hosted pages: show, pay, authenticate, wait for the webhook, redirect."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web
from yarl import URL

from sandbox.account import Account
from sandbox.errors import ApiError
from sandbox.flows import checkout, customer_actions
from sandbox.flows.customer_actions import PaymentResult, return_url
from sandbox.flows.order_changes import change_order
from sandbox.flows.payment_links import find_by_url, open_session
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.pages.checkout import closed_page, payment_page, unknown_page
from sandbox.pages.collected_form import changes_from
from sandbox.pages.form_data import read_form
from sandbox.pages.form_fields import Form
from sandbox.pages.layout import message_page
from sandbox.pages.order_fields import order_of
from sandbox.pages.payment_form import (
    billing_address,
    clean,
    decline_errors,
    initial_values,
    payment_from,
    redisplayed,
    validate,
)
from sandbox.pages.receipts import invoice_page, receipt_page
from sandbox.pages.three_d_secure import authentication_page
from sandbox.pages.translations import language_of
from sandbox.webhooks.delivery import WebhookSender

_ORDER_ACTIONS = frozenset({"apply", "remove", "update"})
"""Buttons of the payment page that change the order and do not pay."""


class CheckoutActions:
    """Handles the payment, 3D Secure and receipt pages."""

    def __init__(self, account: Account, sender: WebhookSender) -> None:
        self._account = account
        self._sender = sender

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            web.get("/c/pay/{id}", self.show),
            web.post("/c/pay/{id}", self.pay),
            web.get("/c/pay/{id}/authenticate", self.show_authentication),
            web.post("/c/pay/{id}/authenticate", self.authenticate),
            web.get("/c/authenticate/{id}", self.show_intent_authentication),
            web.post("/c/authenticate/{id}", self.authenticate_intent),
            web.get("/c/recover/{id}", self.recover),
            web.get("/c/receipt/{id}", self.receipt),
            web.get("/c/invoice/{id}", self.invoice),
            web.get("/c/thanks/{id}", self.thanks),
            web.get("/b/{code}", self.follow_link),
        ]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET: the payment page."""
        session = self._session(request)
        if session is None:
            return unknown_page()
        if session["status"] != "open":
            return closed_page(session, return_url(session))
        values = initial_values(session)
        return self._page(request, session, Form(values=values))

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """POST: change the order, or pay it."""
        session = self._session(request)
        if session is None:
            return unknown_page()
        if session["status"] != "open":
            return self._closed(session)
        values = clean(await read_form(request))
        changes = changes_from(session, values, billing_address(session, values))
        try:
            session = change_order(self._account, session["id"], changes)
        except ApiError as error:
            faults = {error.param or "promotionCode": error.message}
            return self._page(request, session, Form(redisplayed(values), faults), status=400)
        return self._shown_again(request, session, values) or await self._pay(
            request, session, values
        )

    def _shown_again(
        self, request: web.Request, session: JsonObject, values: dict[str, str]
    ) -> web.Response | None:
        """The page, if the order was only changed, is not valid, or has another total now."""
        form = Form(redisplayed(values))
        if values.get("action") in _ORDER_ACTIONS:
            return self._page(request, session, Form({**form.values, "promotionCode": ""}))
        if errors := validate(session, values):
            return self._page(request, session, Form(form.values, errors), status=400)
        if values.get("expectedAmount") not in (None, str(session["amount_total"])):
            changed = "The total has changed. Please check it, then pay."
            return self._page(request, session, form, message=changed)
        return None

    async def _pay(
        self, request: web.Request, session: JsonObject, values: dict[str, str]
    ) -> web.StreamResponse:
        try:
            result = customer_actions.pay(
                self._account, session["id"], payment_from(session, values)
            )
        except ApiError as error:
            result = PaymentResult("declined", message=error.message, param=error.param)
        if result.status == "declined":
            form = Form(redisplayed(values), decline_errors(result))
            return self._page(request, session, form, status=402)
        if result.status == "requires_action":
            raise web.HTTPSeeOther(f"/c/pay/{session['id']}/authenticate")
        return await self._redirect_when_acknowledged(result)

    async def show_authentication(self, request: web.Request) -> web.StreamResponse:
        """GET: the 3D Secure page."""
        session = self._session(request)
        if session is None:
            return unknown_page()
        if not customer_actions.awaits_authentication(self._account, session):
            raise web.HTTPSeeOther(f"/c/pay/{session['id']}")
        return authentication_page(_payment_of(session["amount_total"], session["currency"]))

    async def authenticate(self, request: web.Request) -> web.StreamResponse:
        """POST: complete or fail 3D Secure."""
        session = self._session(request)
        if session is None:
            return unknown_page()
        if session["status"] != "open":
            return self._closed(session)
        passed = (await read_form(request)).get("result") == "complete"
        try:
            result = customer_actions.authenticate(self._account, session["id"], passed=passed)
        except ApiError as error:
            result = PaymentResult("declined", message=error.message)
        if result.status == "declined":
            values = initial_values(session)
            return self._page(request, session, Form(values, decline_errors(result)), status=402)
        return await self._redirect_when_acknowledged(result)

    async def show_intent_authentication(self, request: web.Request) -> web.StreamResponse:
        """GET: the 3D Secure page of a payment or setup intent created without a session."""
        intent = self._account.store.find(request.match_info["id"])
        if intent is None or intent["object"] not in {"payment_intent", "setup_intent"}:
            return message_page("Page not found", "There is no such payment.", status=404)
        if session := self._account.store.get_private(intent["id"]).get("session"):
            raise web.HTTPSeeOther(f"/c/pay/{session}/authenticate")
        if not customer_actions.waits_for_authentication(intent):
            return message_page("All done", "This payment is not waiting for authentication.")
        if intent["object"] == "setup_intent":
            return authentication_page("the use of your card for future payments")
        return authentication_page(_payment_of(intent["amount"], intent["currency"]))

    async def authenticate_intent(self, request: web.Request) -> web.StreamResponse:
        """POST: complete or fail 3D Secure of a payment or setup intent."""
        intent_id = request.match_info["id"]
        passed = (await read_form(request)).get("result") == "complete"
        if self._account.store.get_private(intent_id).get("session"):
            raise web.HTTPSeeOther(f"/c/authenticate/{intent_id}")
        try:
            authenticate = (
                customer_actions.authenticate_setup
                if intent_id.startswith("seti_")
                else customer_actions.authenticate_intent
            )
            result = authenticate(self._account, intent_id, passed=passed)
        except ApiError as error:
            return message_page("Not possible", error.message, status=error.status)
        if result.redirect is not None:
            status = "failed" if result.status == "declined" else "succeeded"
            kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
            query = {kind: intent_id, "redirect_status": status}
            raise web.HTTPSeeOther(URL(result.redirect).update_query(query))
        return message_page("All done", result.message or "The payment is authenticated.")

    async def recover(self, request: web.Request) -> web.StreamResponse:
        """GET: open a copy of an expired session, by its recovery link."""
        session = self._session(request)
        if session is None:
            return unknown_page()
        try:
            with self._account.change():
                renewed = checkout.recover(self._account, session)
        except ApiError as error:
            return message_page("Link expired", error.message, status=410)
        raise web.HTTPSeeOther(renewed["url"])

    async def receipt(self, request: web.Request) -> web.StreamResponse:
        """GET: the receipt of a charge."""
        charge = self._account.store.find(request.match_info["id"])
        if charge is None or charge["object"] != "charge" or not charge["paid"]:
            return message_page("Page not found", "There is no such receipt.", status=404)
        session = self._account.store.get_private(charge["payment_intent"] or "").get("session")
        private = self._account.store.get_private(session or "")
        return receipt_page(charge, private.get("line_items", []))

    async def invoice(self, request: web.Request) -> web.StreamResponse:
        """GET: a hosted invoice."""
        invoice = self._account.store.find(request.match_info["id"])
        if invoice is None or invoice["object"] != "invoice":
            return message_page("Page not found", "There is no such invoice.", status=404)
        payment = self._account.store.get_private(invoice["id"])["payment_intent"]
        intent = self._account.store.find(payment or "")
        charge = self._account.store.find((intent or {}).get("latest_charge") or "")
        return invoice_page(invoice, (charge or {}).get("receipt_url"))

    async def thanks(self, request: web.Request) -> web.StreamResponse:
        """GET: the confirmation page after a payment link."""
        link = self._account.store.find(request.match_info["id"])
        if link is None or link["object"] != "payment_link":
            return message_page("Page not found", "There is nothing here.", status=404)
        hosted = link["after_completion"].get("hosted_confirmation") or {}
        message = hosted.get("custom_message") or "The payment was successful. No money moved."
        return message_page("Thanks for your payment", message)

    async def follow_link(self, request: web.Request) -> web.StreamResponse:
        """GET: a payment link. It opens a new session and redirects to its page."""
        link = find_by_url(self._account, f"{self._account.base_url}{request.path}")
        if link is None:
            return message_page("Page not found", "There is no such payment link.", status=404)
        try:
            with self._account.change():
                session = open_session(self._account, link)
        except ApiError as error:
            return message_page("Not possible", error.message, status=error.status)
        raise web.HTTPSeeOther(str(session["url"]))

    async def _redirect_when_acknowledged(self, result: PaymentResult) -> web.StreamResponse:
        """Redirect to the application after the webhook's delivery, or after `ack_timeout`."""
        if result.event is not None:
            await self._sender.wait_acknowledged(result.event, self._account.options.ack_timeout)
        raise web.HTTPSeeOther(result.redirect or "/")

    def _closed(self, session: JsonObject) -> web.StreamResponse:
        """Respond for a closed session: a repeated submit redirects as the first one did."""
        if session["status"] == "complete":
            raise web.HTTPSeeOther(return_url(session))
        return closed_page(session, return_url(session))

    def _page(
        self,
        request: web.Request,
        session: JsonObject,
        form: Form,
        *,
        status: int = 200,
        message: str | None = None,
    ) -> web.Response:
        accepted = request.headers.get("Accept-Language", "")
        order = order_of(self._account, session)
        shown = replace(form, language=language_of(session["locale"], accepted))
        return payment_page(session, order, shown, status=status, message=message)

    def _session(self, request: web.Request) -> JsonObject | None:
        found = self._account.store.find(request.match_info["id"])
        return found if found and found["object"] == "checkout.session" else None


def _payment_of(amount: int, currency: str) -> str:
    return f"the payment of {amount_text(amount, currency)}"
