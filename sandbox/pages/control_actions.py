"""HTTP handlers of the control page: expire, refund, dispute, resend, clock, switches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.account import Account
from sandbox.errors import ApiError, invalid
from sandbox.flows import checkout, disputes, refunds
from sandbox.json_types import JsonObject
from sandbox.money import parse_amount, plain_amount
from sandbox.pages.control import EventRow, Overview, PaymentRow, control_page, event_page
from sandbox.pages.form_data import read_form
from sandbox.pages.layout import message_page
from sandbox.store import Query
from sandbox.webhooks.delivery import resend
from sandbox.webhooks.endpoints import roll_secret
from sandbox.webhooks.switches import Switches

_PAYMENTS_SHOWN = 25
_EVENTS_SHOWN = 50
_REQUESTS_SHOWN = 25
_MAX_DELAY = 3600.0
_MAX_CLOCK_STEP = 366 * 86400.0

Action = Callable[[web.Request, dict[str, str]], str]
"""Performs an action and returns the notice to show."""


class ControlActions:
    """Handles the control page and its forms."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._notice: str | None = None
        """Notice of the last action, shown once by the next page."""

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        actions: dict[str, Action] = {
            "/sandbox/sessions/{id}/expire": self._expire,
            "/sandbox/sessions/{id}/refund": self._refund,
            "/sandbox/sessions/{id}/dispute": self._dispute,
            "/sandbox/sessions/{id}/inquiry": self._dispute,
            "/sandbox/disputes/{id}/win": self._decide,
            "/sandbox/disputes/{id}/lose": self._decide,
            "/sandbox/events/{id}/resend": self._resend,
            "/sandbox/events/{id}/twice": self._resend,
            "/sandbox/endpoints/{id}/roll": self._roll,
            "/sandbox/clock": self._advance,
            "/sandbox/switches": self._switch,
        }
        return [
            web.get("/", self.enter),
            web.get("/sandbox", self.show),
            web.get("/sandbox/deliveries", self.deliveries),
            web.get("/sandbox/events/{id}", self.show_event),
            *(web.post(path, self._action_handler(action)) for path, action in actions.items()),
        ]

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """GET /: redirect to the control page."""
        raise web.HTTPFound("/sandbox")

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /sandbox."""
        notice, self._notice = self._notice, None
        return self._page(notice)

    async def show_event(self, request: web.Request) -> web.StreamResponse:
        """GET /sandbox/events/{id}."""
        event = self._account.store.find(request.match_info["id"])
        if event is None or event["object"] != "event":
            return message_page("Page not found", "There is no such event.", status=404)
        return event_page(self._event_row(event))

    async def deliveries(self, request: web.Request) -> web.StreamResponse:
        """GET /sandbox/deliveries: every delivery attempt, as JSON."""
        attempts = self._account.outbox.deliveries(request.query.get("event"))
        return web.json_response({"deliveries": [asdict(attempt) for attempt in attempts]})

    def _action_handler(self, action: Action) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            form = await read_form(request)
            try:
                with self._account.change():
                    self._notice = action(request, form)
            except ApiError as error:
                return message_page("Not possible", error.message, status=error.status)
            raise web.HTTPSeeOther("/sandbox")

        return handle

    def _expire(self, request: web.Request, form: dict[str, str]) -> str:
        checkout.expire(self._account, self._session(request))
        return "The session has expired."

    def _refund(self, request: web.Request, form: dict[str, str]) -> str:
        charge = self._charge_of(self._session(request))
        amount = _amount(form.get("amount", "").strip(), charge)
        made = refunds.create_refund(
            self._account,
            str(charge["id"]) if charge else "none",
            amount=amount,
            reason=None,
            metadata={},
        )
        return f"Refund {made['id']} is {made['status']}."

    def _dispute(self, request: web.Request, form: dict[str, str]) -> str:
        inquiry = request.path.endswith("/inquiry")
        charge = self._charge_of(self._session(request))
        opened = disputes.open_dispute(
            self._account,
            str(charge["id"]) if charge else "none",
            reason="fraudulent",
            status="warning_needs_response" if inquiry else "needs_response",
        )
        return f"Dispute {opened['id']} is open."

    def _decide(self, request: web.Request, form: dict[str, str]) -> str:
        dispute = self._account.store.get("dispute", request.match_info["id"])
        closed = disputes.close(self._account, dispute, won=request.path.endswith("/win"))
        return f"The dispute is closed: {closed['status'].replace('_', ' ')}."

    def _resend(self, request: web.Request, form: dict[str, str]) -> str:
        event = self._account.store.get("event", request.match_info["id"])
        copies = 2 if request.path.endswith("/twice") else 1
        for _ in range(copies):
            resend(self._account, event)
        return f"{event['type']} is sent again{' twice' if copies == 2 else ''}."

    def _roll(self, request: web.Request, form: dict[str, str]) -> str:
        secret = roll_secret(self._account, request.match_info["id"])
        return f"The new secret, shown once: {secret}. The old one stays valid for 24 hours."

    def _advance(self, request: web.Request, form: dict[str, str]) -> str:
        seconds = _number(form, "seconds", _MAX_CLOCK_STEP)
        try:
            self._account.advance_clock(seconds)
        except ValueError as error:
            raise invalid(f"The clock was not moved: {error}.") from error
        return f"The clock moved forward by {seconds:,.0f} seconds."

    def _switch(self, request: web.Request, form: dict[str, str]) -> str:
        switches = Switches(
            match=form.get("match", "").strip()[:100] or "*",
            delay=_number(form, "delay", _MAX_DELAY),
            shuffle=_number(form, "shuffle", _MAX_DELAY),
            duplicate=form.get("duplicate") == "true",
            drop=form.get("drop") == "true",
            fail_first=int(_number(form, "fail_first", 100)),
            api_delay=_number(form, "api_delay", _MAX_DELAY),
            api_error=_status(form),
        )
        self._account.set_switches(switches)
        return "All is well again." if switches == Switches() else "The switches are set."

    def _session(self, request: web.Request) -> JsonObject:
        return self._account.store.get(
            "checkout.session", request.match_info["id"], param="session"
        )

    def _charge_of(self, session: JsonObject) -> JsonObject | None:
        intent = self._account.store.find(session["payment_intent"] or "")
        return self._account.store.find(intent["latest_charge"] or "") if intent else None

    def _page(self, notice: str | None) -> web.Response:
        account = self._account
        sessions = account.store.select(Query("checkout.session"), limit=_PAYMENTS_SHOWN)
        events = account.store.select(Query("event"), limit=_EVENTS_SHOWN)
        overview = Overview(
            base_url=account.base_url,
            now=account.clock.now(),
            clock_offset=account.clock.offset,
            endpoints=list(account.store.all("webhook_endpoint")),
            payments=[self._payment_row(session) for session in sessions],
            events=[self._event_row(event) for event in events],
            switches=account.switches,
            faults=account.faults.all(),
            requests=account.requests.select()[-_REQUESTS_SHOWN:],
            notice=notice,
        )
        return control_page(overview)

    def _payment_row(self, session: JsonObject) -> PaymentRow:
        charge = self._charge_of(session)
        dispute = None
        if charge is not None and charge["disputed"]:
            dispute = disputes.dispute_of(self._account, charge["id"])
        return PaymentRow(session, self._customer_name(session), charge, dispute)

    def _customer_name(self, session: JsonObject) -> str | None:
        """The customer's name or email address, as far as it is known."""
        details = session["customer_details"] or {}
        known = self._account.store.find(session["customer"] or "") or {}
        names = (
            details.get("name"),
            known.get("name"),
            details.get("email"),
            session["customer_email"],
            known.get("email"),
            session["customer"],
        )
        return next(filter(None, names), None)

    def _event_row(self, event: JsonObject) -> EventRow:
        return EventRow(event, self._account.outbox.deliveries(event["id"]))


def _amount(written: str, charge: JsonObject | None) -> int | None:
    """The amount of a form in minor units; None if it was left empty, for all of the charge."""
    if not written or charge is None:
        return None
    amount = parse_amount(written, charge["currency"])
    if amount is None:
        raise invalid(
            f"{written[:40]} is not an amount in {charge['currency'].upper()}, such as "
            f"{plain_amount(charge['amount'], charge['currency'])}."
        )
    return amount


def _number(form: dict[str, str], name: str, most: float) -> float:
    try:
        number = float(form.get(name) or 0)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise invalid(f"{name} must be a number from 0 to {most:g}.")
    return number


def _status(form: dict[str, str]) -> int:
    status = int(_number(form, "api_error", 599))
    if status and status < 400:
        raise invalid("The API error must be a status from 400 to 599, or 0.")
    return status
