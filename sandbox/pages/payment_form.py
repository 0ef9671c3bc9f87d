"""Validation of the payment form.

The messages are those of Stripe's own form. Validation runs on the server, so the page works
without JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.countries import COUNTRIES
from sandbox.flows.customer_actions import PaymentMethodData, PaymentResult
from sandbox.flows.testcards import passes_luhn
from sandbox.json_types import JsonObject
from sandbox.pages.collected_form import collected_from, initial_options, option_errors

CARD = "card"
DEBIT = "debit"

_NOT_REDISPLAYED = frozenset({"cardCvc"})
_FIELD_OF_PARAM = {
    "number": "cardNumber",
    "exp_month": "cardExpiry",
    "exp_year": "cardExpiry",
    "cvc": "cardCvc",
    "sepa_debit[iban]": "iban",
    "us_bank_account[account_number]": "accountNumber",
}
ADDRESS_FIELDS = {
    "country": "billingCountry",
    "line1": "billingAddressLine1",
    "line2": "billingAddressLine2",
    "city": "billingLocality",
    "state": "billingAdministrativeArea",
    "postal_code": "billingPostalCode",
}
"""Form field of each part of a billing address."""
DEFAULT_COUNTRY = "US"
_REQUIRED_PARTS = ("country", "line1", "city")
_MAX_LENGTH = 200


def clean(form: Mapping[str, str]) -> dict[str, str]:
    """Strip the values; drop empty and overlong ones."""
    texts = {name: value.strip() for name, value in form.items()}
    return {name: text for name, text in texts.items() if text and len(text) <= _MAX_LENGTH}


def initial_values(session: JsonObject) -> dict[str, str]:
    """The values that the form shows at first."""
    known = session["customer_details"] or {}
    return {
        "email": session["customer_email"] or known.get("email") or "",
        "billingCountry": DEFAULT_COUNTRY,
        **initial_options(session),
    }


def redisplayed(values: dict[str, str]) -> dict[str, str]:
    """The values to fill in again: all but the security code."""
    return {name: text for name, text in values.items() if name not in _NOT_REDISPLAYED}


def validate(session: JsonObject, values: dict[str, str]) -> dict[str, str]:
    """Errors by field, in the order of the page."""
    errors = {"email": _email_error(values.get("email", ""))}
    errors.update(option_errors(session, values))
    if session["amount_total"] and saved_method(values) is None:
        chosen = _debit_errors if method_chosen(session, values) == DEBIT else _card_errors
        errors.update(chosen(session, values))
        errors.update(_address_errors(session, values))
    return {name: fault for name, fault in errors.items() if fault}


def payment_from(session: JsonObject, values: dict[str, str]) -> PaymentMethodData:
    """The payment method data of a valid form."""
    kind, details = "card", _card_details(values)
    if method_chosen(session, values) == DEBIT:
        kind = delayed_kind(session) or "sepa_debit"
        details = {"iban": values.get("iban"), "account_number": values.get("accountNumber")}
    billing = billing_address(session, values)
    return PaymentMethodData(
        kind,
        details,
        email=values.get("email"),
        name=values.get("billingName"),
        address=billing,
        saved=saved_method(values),
        collected=collected_from(session, values, billing),
    )


def saved_method(values: dict[str, str]) -> str | None:
    """The id of the chosen saved payment method; None to pay with a new one."""
    chosen = values.get("savedMethod", "new")
    return None if chosen == "new" else chosen


def _card_details(values: dict[str, str]) -> JsonObject:
    month, year = _expiry(values.get("cardExpiry", "")) or ("", "")
    return {
        "number": re.sub(r"\D", "", values.get("cardNumber", "")),
        "exp_month": month,
        "exp_year": year,
        "cvc": values.get("cardCvc"),
    }


def method_chosen(session: JsonObject, values: dict[str, str]) -> str:
    """The chosen method: card, unless a bank debit is offered and chosen."""
    methods = session["payment_method_types"]
    if delayed_kind(session) is None:
        return CARD
    only_debit = "card" not in methods
    return DEBIT if only_debit or values.get("paymentMethod") == DEBIT else CARD


def asks_for_address(session: JsonObject) -> bool:
    """Whether the page asks for the whole billing address."""
    return str(session["billing_address_collection"]) == "required"


def billing_address(session: JsonObject, values: dict[str, str]) -> JsonObject | None:
    """The billing address: of a card payment at least the country."""
    given = {part: values[name] for part, name in ADDRESS_FIELDS.items() if name in values}
    if asks_for_address(session) or method_chosen(session, values) == CARD:
        given.setdefault("country", DEFAULT_COUNTRY)
    if "country" in given:
        given["country"] = given["country"].upper()
    return given or None


def _address_errors(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    errors: dict[str, str | None] = {}
    if asks_for_address(session):
        for part in _REQUIRED_PARTS:
            if ADDRESS_FIELDS[part] not in values:
                errors[ADDRESS_FIELDS[part]] = "Your address is incomplete."
    country = values.get("billingCountry")
    if country is not None and country.upper() not in COUNTRIES:
        errors["billingCountry"] = "Your country is invalid."
    return errors


def delayed_kind(session: JsonObject) -> str | None:
    """The session's bank debit type, if it offers one."""
    for kind in ("sepa_debit", "us_bank_account"):
        if kind in session["payment_method_types"]:
            return kind
    return None


def decline_errors(result: PaymentResult) -> dict[str, str]:
    """A decline as an error of the field it concerns."""
    name = _FIELD_OF_PARAM.get(result.param or "", "cardNumber")
    return {name: result.message or "Your card was declined."}


def _email_error(email: str) -> str | None:
    if not email:
        return "Your email is required."
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        return "Your email is invalid."
    return None


def _card_errors(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    return {
        "cardNumber": _number_error(values.get("cardNumber", "")),
        "cardExpiry": _expiry_error(values.get("cardExpiry", "")),
        "cardCvc": _cvc_error(values.get("cardCvc", "")),
        "billingName": None if values.get("billingName") else "Your name is required.",
    }


def _debit_errors(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    name = "iban" if delayed_kind(session) == "sepa_debit" else "accountNumber"
    what = "IBAN" if name == "iban" else "account number"
    return {
        name: None if values.get(name) else f"Your {what} is incomplete.",
        "billingName": None if values.get("billingName") else "Your name is required.",
    }


def _number_error(written: str) -> str | None:
    number = re.sub(r"[\s-]", "", written)
    if not number.isascii() or (number and not number.isdigit()):
        return "Your card number is invalid."
    if len(number) < 13:
        return "Your card number is incomplete."
    return None if passes_luhn(number) else "Your card number is invalid."


def _expiry(written: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"(\d{1,2})\s*[/ -]?\s*(\d{2}|\d{4})", written, re.ASCII)
    return (match[1], match[2]) if match else None


def _expiry_error(written: str) -> str | None:
    expiry = _expiry(written)
    if expiry is None:
        return "Your card's expiration date is incomplete."
    if not 1 <= int(expiry[0]) <= 12:
        return "Your card's expiration date is invalid."
    return None


def _cvc_error(written: str) -> str | None:
    if re.fullmatch(r"\d{3,4}", written, re.ASCII):
        return None
    return "Your card's security code is incomplete."
