"""The official library of Standard Webhooks accepts our signatures."""

from __future__ import annotations

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from notifications import signatures

BODY = '{"type": "order.completed", "data": {"title": "ä"}}'


def test_the_official_library_accepts_each_secret_while_one_is_replaced() -> None:
    old, new, other = (signatures.new_secret() for _ in range(3))
    headers = signatures.headers("msg_1", BODY, at=int(time.time()), signed_with=[new, old])
    for secret in (old, new):
        assert Webhook(secret).verify(BODY, headers)["type"] == "order.completed"
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(BODY, {**headers, "webhook-id": "msg_2"})
