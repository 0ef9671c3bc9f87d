"""Creates and validates payment methods: cards, bank debits, the cash balance."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from sandbox.account import Account
from sandbox.errors import ApiError, CardError, invalid, not_supported, parameter_missing
from sandbox.flows.testcards import (
    CARD_METHODS,
    CARD_TOKENS,
    CARDS,
    DELAYED_METHODS,
    US_ROUTING_NUMBER,
    BankAccount,
    Card,
    passes_luhn,
)
from sandbox.json_types import JsonObject
from sandbox.objects.customers import billing_details
from sandbox.objects.payments import payment_method

_YEARS_AHEAD = 50


def create_payment_method(
    account: Account, kind: str, details: JsonObject, billing: JsonObject | None = None
) -> JsonObject:
    """Create a payment method of a type from its details. Raises CardError."""
    if kind == "card":
        shown, number = _read_card(account, details)
    elif kind == "sepa_debit":
        shown, number = _read_sepa_debit(details)
    elif kind == "us_bank_account":
        shown, number = _read_us_bank_account(details)
    elif kind == "customer_balance":
        shown, number = {}, ""
    else:
        raise not_supported(f"payment methods of type {kind}", param="type")
    made = payment_method(
        kind,
        shown,
        created=account.clock.timestamp(),
        billing_details=billing_details(billing),
    )
    return account.store.add(made, private={"number": number})


def resolve_payment_method(account: Account, reference: str) -> JsonObject:
    """Look up a payment method; `pm_card_…` creates one. Raises `resource_missing`."""
    if number := CARD_METHODS.get(reference):
        return create_payment_method(account, "card", {"number": number})
    return account.store.get("payment_method", reference, param="payment_method")


def test_card(account: Account, method: JsonObject) -> Card:
    """The test card of a payment method."""
    return CARDS[account.store.get_private(method["id"])["number"]]


def find_test_card(account: Account, method_id: str) -> Card | None:
    """The test card of a payment method; None for other methods."""
    return CARDS.get(account.store.get_private(method_id).get("number", ""))


def test_bank_account(account: Account, method: JsonObject) -> BankAccount:
    """The test bank account of a payment method."""
    return DELAYED_METHODS[method["type"]][account.store.get_private(method["id"])["number"]]


def _read_card(account: Account, details: JsonObject) -> tuple[JsonObject, str]:
    number = _card_number(details)
    card = _known_card(number)
    year, month = _expiry(account, details)
    cvc = str(details.get("cvc") or "123")
    if not re.fullmatch(r"\d{3}" if card.brand != "amex" else r"\d{3,4}", cvc, re.ASCII):
        raise CardError("Your card's security code is invalid.", "invalid_cvc", param="cvc")
    return _card_details(card, year, month), number


def _card_number(details: JsonObject) -> str:
    token = details.get("token")
    if token is None:
        number = re.sub(r"[\s-]", "", str(details.get("number") or ""))
        if not number:
            raise parameter_missing("card[number]")
        return number
    if not isinstance(token, str) or token not in CARD_TOKENS:
        raise ApiError(
            400, f"No such token: '{token}'", code="resource_missing", param="card[token]"
        )
    return CARD_TOKENS[token]


def _known_card(number: str) -> Card:
    if not re.fullmatch(r"\d{12,19}", number, re.ASCII) or not passes_luhn(number):
        raise CardError("Your card number is incorrect.", "incorrect_number", param="number")
    if number not in CARDS:
        raise CardError(
            "Your card was declined. Your request was in test mode, but used a non test card. "
            "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
            "card_declined",
            decline_code="test_mode_live_card",
        )
    return CARDS[number]


def _expiry(account: Account, details: JsonObject) -> tuple[int, int]:
    today = datetime.fromtimestamp(account.clock.now(), UTC)
    year = _calendar_number(details.get("exp_year"), today.year + 10, "year")
    month = _calendar_number(details.get("exp_month"), 12, "month")
    year += 2000 if year < 100 else 0
    if not today.year <= year <= today.year + _YEARS_AHEAD:
        raise _bad_expiry("year")
    if not 1 <= month <= 12 or (year, month) < (today.year, today.month):
        raise _bad_expiry("month")
    return year, month


def _calendar_number(given: object, default: int, part: str) -> int:
    if given in (None, ""):
        return default
    if not re.fullmatch(r"\d{1,4}", str(given), re.ASCII):
        raise _bad_expiry(part)
    return int(str(given))


def _bad_expiry(part: str) -> CardError:
    return CardError(
        f"Your card's expiration {part} is invalid.",
        f"invalid_expiry_{part}",
        param=f"exp_{part}",
    )


def _card_details(card: Card, year: int, month: int) -> JsonObject:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "fail" if card.decline == "incorrect_cvc" else "pass",
        },
        "country": "US",
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": _fingerprint(card.number),
        "funding": "credit",
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _read_sepa_debit(details: JsonObject) -> tuple[JsonObject, str]:
    iban = re.sub(r"\s", "", str(details.get("iban") or "")).upper()
    if not iban:
        raise parameter_missing("sepa_debit[iban]")
    if iban not in DELAYED_METHODS["sepa_debit"]:
        raise invalid(
            "The IBAN you provided is not one of Stripe's test accounts.",
            param="sepa_debit[iban]",
            code="invalid_bank_account_iban",
        )
    shown: JsonObject = {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": _fingerprint(iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }
    return shown, iban


def _read_us_bank_account(details: JsonObject) -> tuple[JsonObject, str]:
    routing = str(details.get("routing_number") or US_ROUTING_NUMBER)
    number = re.sub(r"\s", "", str(details.get("account_number") or ""))
    if routing != US_ROUTING_NUMBER or number not in DELAYED_METHODS["us_bank_account"]:
        raise invalid(
            "The bank account you provided is not one of Stripe's test accounts.",
            param="us_bank_account[account_number]",
            code="account_number_invalid",
        )
    shown: JsonObject = {
        "account_holder_type": details.get("account_holder_type") or "individual",
        "account_type": details.get("account_type") or "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": _fingerprint(number),
        "last4": number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": routing,
        "status_details": {},
    }
    return shown, number


def _fingerprint(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]
