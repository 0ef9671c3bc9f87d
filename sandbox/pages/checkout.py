"""HTML of the hosted payment page: order summary, payment form, errors."""

from __future__ import annotations

from aiohttp import web

from sandbox.flows.presentment import local_price
from sandbox.flows.testcards import CARDS
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.pages.collected_fields import after_submit_text, collected_fields, consent_fields
from sandbox.pages.form_fields import Form
from sandbox.pages.layout import message_page, render
from sandbox.pages.markup import Markup, join, tag
from sandbox.pages.order_fields import Order, order_fields, summary
from sandbox.pages.payment_form import (
    CARD,
    DEBIT,
    asks_for_address,
    delayed_kind,
    method_chosen,
)

_SUGGESTED = (
    "4242424242424242", "4000000000000002", "4000000000009995", "4000000000000069",
    "4000000000000127", "4000002500003155", "4000008400001629", "4000000000000259",
    "4000000000001976", "4000000000007726", "4000000000005126",
)  # fmt: skip


def payment_page(
    session: JsonObject,
    order: Order,
    form: Form,
    *,
    message: str | None = None,
    status: int = 200,
) -> web.Response:
    """The page of an open session."""
    total = amount_text(session["amount_total"], session["currency"])
    return render(
        f"{form.say('Pay')} {total}",
        tag("h1", (session.get("branding_settings") or {}).get("display_name") or "Checkout"),
        summary(session, order, form),
        form.alert(message),
        tag("div", _form(session, order, form, total), class_="card"),
        _hints(session),
        _cancel_link(session),
        status=status,
        language=form.language,
    )


def closed_page(session: JsonObject, return_to: str) -> web.Response:
    """The page of a complete or expired session."""
    if session["status"] == "complete":
        link = tag("p", tag("a", "Return to the shop", href=return_to))
        return message_page("All done", "This payment is complete.", link)
    return message_page(
        "Link expired",
        "You were not charged. This payment link is no longer valid.",
        _cancel_link(session),
        status=410,
    )


def unknown_page() -> web.Response:
    """The page of a session that does not exist."""
    return message_page(
        "Page not found",
        "There is no such payment page. Sessions are deleted when the sandbox stops, "
        "unless it runs with a state file.",
        status=404,
    )


def _form(session: JsonObject, order: Order, form: Form, total: str) -> Markup:
    changes = order_fields(session, order, form)
    return tag(
        "form",
        # Pressing Enter in a field presses the first button: that has to be one that pays.
        tag("button", "Pay", class_="default", tabindex="-1", aria_hidden="true")
        if changes
        else None,
        changes,
        form.text_field(
            "email", "Email", type="email", autocomplete="email", inputmode="email", required=True
        ),
        collected_fields(session, form),
        _methods(session, order, form) if session["amount_total"] else None,
        consent_fields(session, form),
        tag("button", _pay_label(session, form, total), type="submit", class_="main", id="submit"),
        after_submit_text(session),
        method="post",
        # Not the page's own URL: a browser takes its fragment along to where a redirect leads.
        action=f"/c/pay/{session['id']}",
        novalidate=True,
    )


def _pay_label(session: JsonObject, form: Form, total: str) -> str:
    if not session["amount_total"]:
        return form.say("Complete order")
    verb = {"book": "Book", "donate": "Donate", "subscribe": "Subscribe"}
    return f"{form.say(verb.get(session['submit_type'], 'Pay'))} {total}"


def _methods(session: JsonObject, order: Order, form: Form) -> Markup:
    offers_card = "card" in session["payment_method_types"]
    debit = delayed_kind(session)
    return join(
        _saved_methods(order, form),
        _choice(session, form) if offers_card and debit else None,
        _card_fields(form) if offers_card else None,
        _debit_fields(debit, form) if debit else None,
        form.text_field("billingName", "Name", autocomplete="name", required=True),
        _address_fields(session, form),
        _save_box(session, form),
        _local_currency(session, form),
    )


def _local_currency(session: JsonObject, form: Form) -> Markup | None:
    """The choice between the session's currency and that of the billing country."""
    local = local_price(session, form.values.get("billingCountry"))
    if local is None:
        return None
    currency = local["presentment_currency"]
    options = [
        (currency, amount_text(local["presentment_amount"], currency)),
        (session["currency"], amount_text(session["amount_total"], session["currency"])),
    ]
    chosen = form.values.get("presentmentCurrency", session["currency"])
    return form.radio_group("presentmentCurrency", "Choose a currency", options, chosen)


def _saved_methods(order: Order, form: Form) -> Markup | None:
    if not order.saved_methods:
        return None
    options = [
        (method["id"], f"{method['card']['brand'].title()} ending in {method['card']['last4']}")
        for method in order.saved_methods
    ]
    chosen = form.values.get("savedMethod", "new")
    return form.radio_group("savedMethod", "Pay with", [*options, ("new", "A new card")], chosen)


def _save_box(session: JsonObject, form: Form) -> Markup | None:
    if (session["saved_payment_method_options"] or {}).get("payment_method_save") != "enabled":
        return None
    return form.checkbox("savePaymentMethod", "Save this card for my next purchases")


def _address_fields(session: JsonObject, form: Form) -> Markup:
    country = form.text_field(
        "billingCountry", "Country (two letters)", autocomplete="country", maxlength="2"
    )
    postal_code = form.text_field("billingPostalCode", "Postal code", autocomplete="postal-code")
    if not asks_for_address(session):
        return tag("div", country, postal_code, class_="pair")
    return join(
        form.text_field("billingAddressLine1", "Address", autocomplete="address-line1"),
        form.text_field(
            "billingAddressLine2", "Address, second line", autocomplete="address-line2"
        ),
        form.text_field("billingLocality", "City", autocomplete="address-level2"),
        form.text_field("billingAdministrativeArea", "State", autocomplete="address-level1"),
        tag("div", country, postal_code, class_="pair"),
    )


def _choice(session: JsonObject, form: Form) -> Markup:
    chosen = method_chosen(session, form.values)
    labels = {CARD: "Card", DEBIT: "Bank debit (confirmed later)"}
    options = [
        tag(
            "label",
            tag(
                "input",
                type="radio",
                name="paymentMethod",
                value=value,
                id=f"paymentMethod-{value}",
                checked=value == chosen,
            ),
            label,
            class_="choice",
        )
        for value, label in labels.items()
    ]
    return tag("fieldset", tag("legend", form.say("Payment method")), *options, class_="methods")


def _card_fields(form: Form) -> Markup:
    number = form.text_field(
        "cardNumber",
        "Card number",
        autocomplete="cc-number",
        inputmode="numeric",
        placeholder="4242 4242 4242 4242",
        required=True,
    )
    expiry = form.text_field(
        "cardExpiry",
        "Expiration (MM/YY)",
        autocomplete="cc-exp",
        inputmode="numeric",
        placeholder="12/34",
        required=True,
    )
    cvc = form.text_field(
        "cardCvc",
        "Security code (CVC)",
        autocomplete="cc-csc",
        inputmode="numeric",
        placeholder="123",
        required=True,
    )
    return tag("div", number, tag("div", expiry, cvc, class_="pair"), class_="by-card")


def _debit_fields(kind: str, form: Form) -> Markup:
    if kind == "sepa_debit":
        field = form.text_field(
            "iban",
            "IBAN",
            autocomplete="off",
            hint="AT611904300234573201 succeeds, AT861904300235473202 fails.",
        )
    else:
        field = form.text_field(
            "accountNumber",
            "Account number",
            autocomplete="off",
            inputmode="numeric",
            hint="000123456789 succeeds, 000222222227 fails. Routing number 110000000.",
        )
    return tag("div", field, class_="debit")


def _hints(session: JsonObject) -> Markup | None:
    if not session["amount_total"] or "card" not in session["payment_method_types"]:
        return None
    rows = [
        tag("li", tag("code", _grouped(number)), tag("span", CARDS[number].meaning))
        for number in _SUGGESTED
    ]
    return tag(
        "details",
        tag("summary", "Test cards"),
        tag("p", "Any future date and any three digits will do.", class_="hint"),
        tag("ul", *rows, class_="items"),
        class_="card",
    )


def _grouped(number: str) -> str:
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def _cancel_link(session: JsonObject) -> Markup | None:
    if not session["cancel_url"]:
        return None
    return tag("p", tag("a", "← Back without paying", href=session["cancel_url"], id="back"))
