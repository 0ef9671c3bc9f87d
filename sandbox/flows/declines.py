"""Decline codes, their messages and the objects that show them.

Stripe docs: https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import doc_url
from sandbox.json_types import JsonObject

_CODES = {
    "authentication_required": "authentication_required",
    "expired_card": "expired_card",
    "incorrect_cvc": "incorrect_cvc",
    "processing_error": "processing_error",
}

_SENTENCES = {
    "authentication_required": "Your card was declined. This transaction requires authentication.",
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
    """A decline code of a card issuer."""

    decline_code: str

    @property
    def code(self) -> str:
        """The error code: `card_declined`, except for a few declines that have their own."""
        return _CODES.get(self.decline_code, "card_declined")

    @property
    def message(self) -> str:
        """The message for the customer."""
        return _SENTENCES.get(self.decline_code, "Your card was declined.")

    def outcome(self) -> JsonObject:
        """The charge's `outcome`."""
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
        """The payment intent's `last_payment_error`."""
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
    """The `outcome` of an approved charge."""
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
    """`last_payment_error` after a failed 3D Secure check; there is no charge."""
    code = "payment_intent_authentication_failure"
    return {
        "code": code,
        "doc_url": doc_url(code),
        "message": AUTHENTICATION_FAILED,
        "payment_method": method,
        "type": "invalid_request_error",
    }


def bank_decline(charge_id: str, method: JsonObject) -> JsonObject:
    """`last_payment_error` after a failed bank debit."""
    code = "payment_intent_payment_attempt_failed"
    return {
        "charge": charge_id,
        "code": code,
        "doc_url": doc_url(code),
        "message": "The payment failed.",
        "payment_method": method,
        "type": "card_error",
    }
