"""Test client of a shop: creates sessions, pays them, submits the payment form."""

from __future__ import annotations

from typing import Any

import requests
import stripe
from stripe.checkout import Session

from sandbox.json_types import JsonObject
from sandbox.testing import RunningSandbox

IDS = {"user_id": "7", "conversation_id": "11"}
GOOD_CARD = {
    "email": "customer@example.com",
    "cardNumber": "4242 4242 4242 4242",
    "cardExpiry": "12/34",
    "cardCvc": "123",
    "billingName": "Test Customer",
}


class Shop:
    """Sells credits."""

    def __init__(self, sandbox: RunningSandbox, client: stripe.StripeClient) -> None:
        self.sandbox = sandbox
        self.client = client

    def session(self, *, amount: int = 500, currency: str = "usd", **params: Any) -> Session:
        """A new session for one item of this amount."""
        price_data = {
            "currency": currency,
            "unit_amount": amount,
            "product_data": {"name": "Credits"},
        }
        given: Any = {
            "mode": "payment",
            "line_items": [{"price_data": price_data, "quantity": 1}],
            "success_url": "http://127.0.0.1:1/paid?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://127.0.0.1:1/cancelled",
            "metadata": {**IDS, "tier": "premium"},
            "payment_intent_data": {"metadata": IDS},
            **params,
        }
        return self.client.v1.checkout.sessions.create(given)

    def paid(self, card: str = "4242424242424242", *, amount: int = 500) -> JsonObject:
        """A session that was paid with this card, after everything has settled."""
        session = self.session(amount=amount)
        assert self.sandbox.pay(session.id, card).status == "succeeded"
        self.sandbox.wait_idle()
        return self.sandbox.object(session.id)

    def page(self, path: str) -> str:
        """The text of a page."""
        response = requests.get(f"{self.sandbox.url}{path}", timeout=10)
        assert response.status_code == 200
        return response.text

    def submit(self, session: Session, **fields: str) -> requests.Response:
        """Send the payment page's form, redirects not followed."""
        return requests.post(
            str(session.url), data={**GOOD_CARD, **fields}, allow_redirects=False, timeout=10
        )
