"""HTML of the control page: payments, events, deliveries, clock, switches, faults, requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from sandbox.faults import Fault
from sandbox.json_types import JsonObject
from sandbox.money import amount_text, plain_amount
from sandbox.pages.components import button, short_id, table, time_tag
from sandbox.pages.control_sections import faults_section, requests_section
from sandbox.pages.layout import render
from sandbox.pages.markup import Markup, tag
from sandbox.request_log import LoggedRequest
from sandbox.webhooks.outbox import Delivery
from sandbox.webhooks.switches import Switches

_STEPS = {"1 minute": 60, "30 minutes": 1800, "1 day": 86400, "4 days": 345600}


@dataclass(frozen=True)
class PaymentRow:
    """A session with its charge and dispute, and who paid."""

    session: JsonObject
    customer: str | None
    charge: JsonObject | None
    dispute: JsonObject | None


@dataclass(frozen=True)
class EventRow:
    """An event with its delivery attempts."""

    event: JsonObject
    deliveries: Sequence[Delivery]


@dataclass(frozen=True)
class Overview:
    """Data of the control page."""

    base_url: str
    now: float
    clock_offset: float
    endpoints: Sequence[JsonObject]
    payments: Sequence[PaymentRow]
    events: Sequence[EventRow]
    switches: Switches
    faults: Sequence[Fault]
    requests: Sequence[LoggedRequest]
    notice: str | None


def control_page(overview: Overview) -> web.Response:
    """Render the control page."""
    return render(
        "Control",
        tag("h1", "Sandbox control"),
        tag("div", overview.notice, role="status", class_="notice") if overview.notice else None,
        _account_card(overview),
        tag("h2", "Payments"),
        _payments(overview.payments),
        tag("h2", "Events"),
        _events(overview.events),
        tag("h2", "Clock"),
        _clock(overview),
        tag("h2", "Fault switches"),
        _switches(overview.switches),
        tag("h2", "Faults of single requests"),
        faults_section(overview.faults),
        tag("h2", "API requests"),
        requests_section(overview.requests),
        width="wide",
    )


def event_page(row: EventRow) -> web.Response:
    """Render an event's page: deliveries and payload."""
    event = row.event
    return render(
        event["type"],
        tag("p", tag("a", "← Control", href="/sandbox")),
        tag("h1", event["type"]),
        tag("p", tag("code", event["id"]), " at ", time_tag(event["created"]), class_="quiet"),
        _event_actions(event),
        tag("h2", "Deliveries"),
        _deliveries(row.deliveries),
        tag("h2", "Payload"),
        tag("div", tag("pre", tag("code", json.dumps(event, indent=2))), class_="card scroll"),
        width="wide",
    )


def _account_card(overview: Overview) -> Markup:
    endpoints = [
        tag(
            "li",
            tag("span", tag("code", endpoint["url"]), f" ({endpoint['status']})"),
            button(f"/sandbox/endpoints/{endpoint['id']}/roll", "Roll the secret"),
            class_="actions",
        )
        for endpoint in overview.endpoints
    ]
    return tag(
        "div",
        tag("p", "API and pages: ", tag("code", overview.base_url)),
        tag("p", "Webhook endpoints:" if endpoints else "No webhook endpoint."),
        tag("ul", *endpoints) if endpoints else None,
        class_="card",
    )


def _payments(rows: Sequence[PaymentRow]) -> Markup:
    if not rows:
        return tag("p", "None yet.", class_="quiet")
    return table(
        ("Session", "Customer", "Amount", "Status", "Actions"),
        [
            (
                tag("code", short_id(row.session["id"])),
                row.customer or tag("span", "not known", class_="quiet"),
                amount_text(row.session["amount_total"], row.session["currency"]),
                tag("span", _payment_status(row), class_="status"),
                tag("div", *_payment_actions(row), class_="actions"),
            )
            for row in rows
        ],
    )


def _payment_status(row: PaymentRow) -> str:
    if row.dispute is not None:
        return f"dispute {row.dispute['status']}".replace("_", " ")
    if row.charge is not None and row.charge["amount_refunded"]:
        back = amount_text(row.charge["amount_refunded"], row.charge["currency"])
        return "refunded" if row.charge["refunded"] else f"paid, {back} refunded"
    return f"{row.session['status']}, {row.session['payment_status']}".replace("_", " ")


def _payment_actions(row: PaymentRow) -> list[Markup]:
    at = f"/sandbox/sessions/{row.session['id']}"
    if row.session["status"] == "open":
        return [tag("a", "Open", href=row.session["url"]), button(f"{at}/expire", "Expire")]
    if row.dispute is not None and _is_open(row.dispute):
        decide = f"/sandbox/disputes/{row.dispute['id']}"
        return [button(f"{decide}/win", "Win"), button(f"{decide}/lose", "Lose")]
    actions = []
    if row.charge is not None and row.charge["paid"]:
        if not row.charge["refunded"]:
            actions.append(_refund_form(f"{at}/refund", row.charge))
        if not row.charge["disputed"]:
            actions.append(button(f"{at}/dispute", "Dispute"))
            actions.append(button(f"{at}/inquiry", "Inquiry"))
    return actions


def _is_open(dispute: JsonObject) -> bool:
    return dispute["status"] not in {"won", "lost", "warning_closed"}


def _refund_form(action: str, charge: JsonObject) -> Markup:
    left = charge["amount"] - charge["amount_refunded"]
    return tag(
        "form",
        tag(
            "input",
            name="amount",
            value=plain_amount(left, charge["currency"]),
            inputmode="decimal",
            aria_label=f"Amount to refund, in {charge['currency'].upper()}",
        ),
        tag("button", "Refund", class_="plain"),
        method="post",
        action=action,
    )


def _events(rows: Sequence[EventRow]) -> Markup:
    if not rows:
        return tag("p", "None yet.", class_="quiet")
    return table(
        ("Time", "Event", "Object", "Deliveries", "Actions"),
        [
            (
                time_tag(row.event["created"]),
                tag("a", row.event["type"], href=f"/sandbox/events/{row.event['id']}"),
                tag("code", short_id(row.event["data"]["object"].get("id", "-"))),
                _outcome(row),
                _event_actions(row.event),
            )
            for row in rows
        ],
    )


def _event_actions(event: JsonObject) -> Markup:
    at = f"/sandbox/events/{event['id']}"
    return tag(
        "div",
        button(f"{at}/resend", "Resend"),
        button(f"{at}/twice", "Deliver twice"),
        class_="actions",
    )


def _outcome(row: EventRow) -> Markup:
    attempts = len(row.deliveries)
    if not row.event["pending_webhooks"]:
        text = f"accepted after {attempts}" if attempts > 1 else "accepted" if attempts else "none"
        return tag("span", text, class_="status good" if attempts else "status")
    last = row.deliveries[-1] if row.deliveries else None
    if last is None:
        return tag("span", "waiting", class_="status")
    return tag("span", f"{last.status or last.error} ({attempts})", class_="status bad")


def _deliveries(deliveries: Sequence[Delivery]) -> Markup:
    if not deliveries:
        return tag("p", "No attempt yet.", class_="quiet")
    return table(
        ("Time", "To", "Attempt", "Result", "Took", "Answer"),
        [
            (
                time_tag(each.at),
                tag("code", each.url),
                str(each.attempt),
                tag(
                    "span",
                    str(each.status or each.error),
                    class_=f"status {'good' if each.accepted else 'bad'}",
                ),
                f"{each.milliseconds} ms",
                tag("code", each.answer or ""),
            )
            for each in deliveries
        ],
    )


def _clock(overview: Overview) -> Markup:
    ahead = f", {overview.clock_offset:,.0f} s ahead" if overview.clock_offset else ""
    buttons = [
        button("/sandbox/clock", f"+ {label}", seconds=str(seconds))
        for label, seconds in _STEPS.items()
    ]
    return tag(
        "div",
        tag("p", "It is ", time_tag(overview.now), f" UTC{ahead}. Signatures use the real time."),
        tag("div", *buttons, class_="actions"),
        class_="card",
    )


def _switches(switches: Switches) -> Markup:
    return tag(
        "form",
        tag(
            "div",
            _setting("match", "For events like", switches.match),
            _setting("delay", "Delay, seconds", f"{switches.delay:g}"),
            _setting("shuffle", "Random delay up to, seconds", f"{switches.shuffle:g}"),
            _setting("fail_first", "Fail the first attempts", str(switches.fail_first)),
            _setting("api_delay", "Delay API responses, seconds", f"{switches.api_delay:g}"),
            _setting("api_error", "Fail API requests with status", str(switches.api_error)),
            _check("duplicate", "Deliver twice", on=switches.duplicate),
            _check("drop", "Drop", on=switches.drop),
            class_="switches",
        ),
        tag("button", "Set", class_="main"),
        method="post",
        action="/sandbox/switches",
        class_="card",
    )


def _setting(name: str, label: str, value: str) -> Markup:
    return tag("div", tag("label", label, for_=name), tag("input", id=name, name=name, value=value))


def _check(name: str, label: str, *, on: bool) -> Markup:
    box = tag("input", type="checkbox", name=name, value="true", checked=on, id=name)
    return tag("label", box, label, class_="check")
