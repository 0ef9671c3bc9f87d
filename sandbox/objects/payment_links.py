"""Builder of payment links."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id, random_text
from sandbox.json_types import JsonObject


def payment_link(*, url_base: str, currency: str, **fields: Any) -> JsonObject:
    """An active payment link."""
    return {
        "id": new_id("payment_link"),
        "object": "payment_link",
        "active": True,
        "after_completion": {"hosted_confirmation": {"custom_message": None}, "type": _HOSTED},
        "allow_promotion_codes": False,
        "application": None,
        "application_fee_amount": None,
        "application_fee_percent": None,
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_address_collection": "auto",
        "consent_collection": None,
        "currency": currency,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer_creation": "if_required",
        "inactive_message": None,
        "invoice_creation": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "on_behalf_of": None,
        "optional_items": None,
        "payment_intent_data": None,
        "payment_method_collection": "always",
        "payment_method_options": None,
        "payment_method_types": None,
        "phone_number_collection": {"enabled": False},
        "restrictions": None,
        "shipping_address_collection": None,
        "shipping_options": [],
        "submit_type": "auto",
        "subscription_data": None,
        "tax_id_collection": {"enabled": False, "required": "never"},
        "transfer_data": None,
        "url": f"{url_base}/b/test_{random_text(20)}",
        **fields,
    }


_HOSTED = "hosted_confirmation"
