"""Decides in which words a payment is refused.

Stripe docs: https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import doc_url
from sandbox.json_types import JsonObject

_CODES = {
    "expired_card": "expired_card",
    "incorrect_cvc": "incorrect_cvc",
    "processing_error": "processing_error",
}

_SENTENCES = {
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "insufficient_funds": "Your card has insufficient funds.",
    "processing_error": (
        "An error occurred while processing your card. Try again in a little bit."
    ),
}

_ADVICE = {
    "expired_card": "confirm_card_data",
    "incorrect_cvc": "confirm_card_data",
    "insufficient_funds": "try_again_later",
    "processing_error": "try_again_later",
    "generic_decline": "try_again_later",
}

AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)


@dataclass(frozen=True)
class Decline:
    """Why the bank said no."""

    decline_code: str

    @property
    def code(self) -> str:
        """The error code: a few declines have their own, all others share one."""
        return _CODES.get(self.decline_code, "card_declined")

    @property
    def message(self) -> str:
        """What the customer is told."""
        return _SENTENCES.get(self.decline_code, "Your card was declined.")

    def outcome(self) -> JsonObject:
        """The refusal as the charge shows it."""
        return {
            "advice_code": _ADVICE.get(self.decline_code, "do_not_try_again"),
            "network_advice_code": None,
            "network_decline_code": "01",
            "network_status": "declined_by_network",
            "reason": self.decline_code,
            "risk_level": "normal",
            "risk_score": 20,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        }

    def payment_error(self, charge_id: str, method: JsonObject) -> JsonObject:
        """The refusal as the payment intent shows it."""
        return {
            "advice_code": _ADVICE.get(self.decline_code, "do_not_try_again"),
            "charge": charge_id,
            "code": self.code,
            "decline_code": self.decline_code,
            "doc_url": doc_url(self.code),
            "message": self.message,
            "network_decline_code": "01",
            "payment_method": method,
            "type": "card_error",
        }


def approved() -> JsonObject:
    """A charge's outcome when the bank said yes."""
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }


def authentication_error(method: JsonObject) -> JsonObject:
    """A failed 3D Secure check as the payment intent shows it; there is no charge."""
    code = "payment_intent_authentication_failure"
    return {
        "code": code,
        "doc_url": doc_url(code),
        "message": AUTHENTICATION_FAILED,
        "payment_method": method,
        "type": "invalid_request_error",
    }


def bank_decline(charge_id: str, method: JsonObject) -> JsonObject:
    """A failed bank debit as the payment intent shows it."""
    code = "payment_intent_payment_attempt_failed"
    return {
        "charge": charge_id,
        "code": code,
        "doc_url": doc_url(code),
        "message": "The payment failed.",
        "payment_method": method,
        "type": "card_error",
    }
