"""Stripe's test cards and test bank accounts, with the behaviour of each.

Stripe docs: https://docs.stripe.com/testing. Other numbers are declined, as Stripe
declines live cards in test mode; so a real card number is never stored.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A test card."""

    number: str
    meaning: str
    brand: str = "visa"
    decline: str | None = None
    """Decline code, if it is declined."""
    authenticate: bool = False
    """Whether 3D Secure is required."""
    dispute: tuple[str, str] | None = None
    """Reason and initial status of the dispute that follows the payment."""
    available_at_once: bool = False
    """Whether its funds skip the pending balance."""
    fraud_warning: bool = False
    """Whether the issuer sends an early fraud warning."""
    refund: str = "succeeded"
    """How a refund ends: `succeeded`, `pending` (succeeds later) or `failed` (fails later)."""


@dataclass(frozen=True)
class BankAccount:
    """A test account for a delayed method: an IBAN, or a US account number."""

    number: str
    succeeds: bool
    minutes: int = 0
    """Minutes added to the usual delay."""


_CARDS = (
    Card("4242424242424242", "succeeds"),
    Card("5555555555554444", "succeeds", brand="mastercard"),
    Card("378282246310005", "succeeds", brand="amex"),
    Card("4000000000000002", "is declined", decline="generic_decline"),
    Card("4000000000009995", "has insufficient funds", decline="insufficient_funds"),
    Card("4000000000009987", "is declined as lost", decline="lost_card"),
    Card("4000000000009979", "is declined as stolen", decline="stolen_card"),
    Card("4000000000000069", "has expired", decline="expired_card"),
    Card("4000000000000127", "fails on its security code", decline="incorrect_cvc"),
    Card("4000000000000119", "fails on a processing error", decline="processing_error"),
    Card("4000002500003155", "asks for 3D Secure", authenticate=True),
    Card("4000002760003184", "asks for 3D Secure", authenticate=True),
    Card(
        "4000008400001629",
        "asks for 3D Secure, then is declined",
        authenticate=True,
        decline="generic_decline",
    ),
    Card("4000000000000259", "is disputed later", dispute=("fraudulent", "needs_response")),
    Card(
        "4000000000002685",
        "is disputed as not received",
        dispute=("product_not_received", "needs_response"),
    ),
    Card(
        "4000000000001976",
        "leads to an inquiry",
        dispute=("fraudulent", "warning_needs_response"),
    ),
    Card("4000000000005423", "leads to an early fraud warning", fraud_warning=True),
    Card("4000000000000077", "has its funds available at once", available_at_once=True),
    Card("4000000000007726", "refunds slowly", refund="pending"),
    Card("4000000000005126", "fails to refund, later", refund="failed"),
)

CARDS = {card.number: card for card in _CARDS}

_NAMED = {
    "visa": "4242424242424242",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "chargeDeclined": "4000000000000002",
    "visa_chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "threeDSecure2Required": "4000002500003155",
    "authenticationRequired": "4000002760003184",
    "createDispute": "4000000000000259",
    "createDisputeProductNotReceived": "4000000000002685",
    "createDisputeInquiry": "4000000000001976",
    "createIssuerFraudRecord": "4000000000005423",
    "bypassPending": "4000000000000077",
    "pendingRefund": "4000000000007726",
    "refundFail": "4000000000005126",
}

CARD_TOKENS = {f"tok_{name}": number for name, number in _NAMED.items()}
CARD_METHODS = {f"pm_card_{name}": number for name, number in _NAMED.items()}

_IBANS = (
    BankAccount("AT611904300234573201", succeeds=True),
    BankAccount("AT321904300235473204", succeeds=True, minutes=3),
    BankAccount("AT861904300235473202", succeeds=False),
    BankAccount("AT051904300235473205", succeeds=False, minutes=3),
    BankAccount("IT40S0542811101000000123456", succeeds=True),
    BankAccount("IT60X0542811101000000123456", succeeds=False),
    BankAccount("DE89370400440532013000", succeeds=True),
    BankAccount("DE62370400440532013001", succeeds=False),
)

_US_ACCOUNTS = (
    BankAccount("000123456789", succeeds=True),
    BankAccount("000111111113", succeeds=False),
    BankAccount("000111111116", succeeds=False),
    BankAccount("000222222227", succeeds=False),
)

US_ROUTING_NUMBER = "110000000"

DELAYED_METHODS: dict[str, dict[str, BankAccount]] = {
    "sepa_debit": {account.number: account for account in _IBANS},
    "us_bank_account": {account.number: account for account in _US_ACCOUNTS},
}

DELAYED_METHOD_OF_CURRENCY = {"eur": "sepa_debit", "usd": "us_bank_account"}


def passes_luhn(number: str) -> bool:
    """Whether a card number passes the Luhn check."""
    total = 0
    for position, digit in enumerate(reversed(number)):
        doubled = int(digit) * (2 if position % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
