"""Random ids with Stripe's prefixes.

They come from the operating system: test runners seed Python's generator, which would repeat ids.
"""

from __future__ import annotations

import os
import string

_ALPHABET = (string.ascii_letters + string.digits).encode()
# A table for bytes.translate: some letters are a little more frequent, which ids do not mind.
_LETTER_OF_BYTE = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))

_FORMATS: dict[str, tuple[str, int]] = {
    "balance_transaction": ("txn_3", 23),
    "card": ("card_1", 23),
    "charge": ("ch_3", 23),
    "checkout.session": ("cs_test_a1", 56),
    "customer": ("cus_", 14),
    "coupon": ("", 8),
    "customer_cash_balance_transaction": ("ccsbtxn_1", 23),
    "discount": ("di_1", 23),
    "dispute": ("du_1", 23),
    "fault": ("fault_", 14),
    "invoice": ("in_1", 23),
    "invoice_line": ("il_1", 23),
    "item": ("li_1", 23),
    "mandate": ("mandate_1", 23),
    "payment_intent": ("pi_3", 23),
    "payment_link": ("plink_1", 23),
    "payment_method": ("pm_1", 23),
    "price": ("price_1", 23),
    "product": ("prod_", 14),
    "promotion_code": ("promo_1", 23),
    "radar.early_fraud_warning": ("issfr_1", 23),
    "refund": ("re_3", 23),
    "request": ("req_", 14),
    "request_log": ("resp_", 14),
    "setup_attempt": ("setatt_1", 23),
    "setup_intent": ("seti_1", 23),
    "shipping_rate": ("shr_1", 23),
    "stripecli_session": ("cliws_", 24),
    "tax_rate": ("txr_1", 23),
    "webhook_endpoint": ("we_1", 23),
}


def random_text(length: int) -> str:
    """Random letters and digits."""
    return os.urandom(length).translate(_LETTER_OF_BYTE).decode()


def new_id(kind: str) -> str:
    """A new id for an object of this kind."""
    prefix, length = _FORMATS[kind]
    return prefix + random_text(length)


def new_event_id(kind: str) -> str:
    """A new event id: `evt_3…` for payments, refunds and disputes, else `evt_1…`."""
    money = kind in {"payment_intent", "charge", "refund", "dispute"}
    return ("evt_3" if money else "evt_1") + random_text(23)


def new_signing_secret() -> str:
    """A new webhook signing secret."""
    return "whsec_" + random_text(32)
