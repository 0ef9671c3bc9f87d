"""Builders of Stripe's objects and events, and signed deliveries of them.

Each builder takes the fields that matter to a test and fills in the rest.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import stripe
from django.conf import settings
from django.test import Client

from conversations.models import Conversation

Json = dict[str, Any]

URL = "/api/webhooks/stripe"
_numbers = itertools.count(1)


def reference(conversation: Conversation) -> Json:
    return {
        "user_id": str(conversation.user_id),
        "conversation_id": str(conversation.pk),
        "tier": "premium",
    }


def session(conversation: Conversation, **fields: Any) -> Json:
    """A Checkout Session that is complete and paid, unless `fields` say otherwise."""
    number = next(_numbers)
    return {
        "id": f"cs_test_{number}",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": f"pi_{number}",
        "amount_subtotal": fields.get("amount_total", 2000),
        "amount_total": 2000,
        "currency": "usd",
        "created": int(time.time()),
        "livemode": False,
        "client_reference_id": str(conversation.pk),
        "metadata": reference(conversation),
        **fields,
    }


def declined_intent(conversation: Conversation, **fields: Any) -> Json:
    """A PaymentIntent whose last attempt was declined."""
    return {
        "id": f"pi_{next(_numbers)}",
        "object": "payment_intent",
        "status": "requires_payment_method",
        "livemode": False,
        "last_payment_error": {
            "type": "card_error",
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "message": "Your card has insufficient funds.",
        },
        "metadata": reference(conversation),
        **fields,
    }


def refund(payment_intent: str, amount: int = 2000, **fields: Any) -> Json:
    """A refund that succeeded."""
    return {
        "id": f"re_{next(_numbers)}",
        "object": "refund",
        "amount": amount,
        "charge": f"ch_of_{payment_intent}",
        "currency": "usd",
        "metadata": {},
        "payment_intent": payment_intent,
        "reason": None,
        "status": "succeeded",
        **fields,
    }


def refunded_charge(payment_intent: str, refunded: int = 2000, **fields: Any) -> Json:
    """A charge of 2000, of which all refunds together are `refunded`."""
    return {
        "id": f"ch_of_{payment_intent}",
        "object": "charge",
        "amount": 2000,
        "amount_captured": 2000,
        "amount_refunded": refunded,
        "currency": "usd",
        "livemode": False,
        "metadata": {},
        "payment_intent": payment_intent,
        "refunded": refunded == 2000,
        "status": "succeeded",
        **fields,
    }


def dispute(payment_intent: str, status: str = "needs_response", **fields: Any) -> Json:
    """A dispute over a whole payment; a status `warning_…` makes it an inquiry."""
    return {
        "id": f"du_{next(_numbers)}",
        "object": "dispute",
        "amount": 2000,
        "charge": f"ch_of_{payment_intent}",
        "currency": "usd",
        "livemode": False,
        "metadata": {},
        "payment_intent": payment_intent,
        "reason": "fraudulent",
        "status": status,
        **fields,
    }


def event(kind: str, stripe_object: Json, **fields: Any) -> Json:
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        "data": {"object": stripe_object},
        **fields,
    }


def fraud_warning(payment_intent: str, **fields: Any) -> Json:
    """An event that says that the card's issuer warns of this payment."""
    warning = {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": "ch_1",
        "fraud_type": "made_with_stolen_card",
        "payment_intent": payment_intent,
    }
    return event("radar.early_fraud_warning.created", warning, **fields)


def completed(conversation: Conversation, **fields: Any) -> Json:
    """`checkout.session.completed` for a paid session of this conversation."""
    return event("checkout.session.completed", session(conversation, **fields))


def signature(body: str, *, secret: str | None = None, at: float | None = None) -> str:
    header: str = stripe.WebhookSignature.generate_signature_header(
        body,
        settings.STRIPE_WEBHOOK_SECRETS[0] if secret is None else secret,
        timestamp=int(time.time() if at is None else at),
    )
    return header


def deliver(payload: Json, client: Client | None = None) -> Any:
    """Post the event, signed as Stripe signs it, to the real URL."""
    body = json.dumps(payload, indent=2)
    return (client or Client()).post(
        URL,
        body,
        content_type="application/json; charset=utf-8",
        headers={"Stripe-Signature": signature(body)},
    )
