"""The contract as an outside client uses it: raw SQL, a token and an event signed by the test.

Nothing of ours is imported here but the settings: what works in this file works from outside.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

pytestmark = pytest.mark.django_db


def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def token(user_id: int) -> str:
    claims = {"sub": str(user_id), "exp": int(time.time()) + 600}
    return jwt.encode(claims, settings.JWT_SECRET, algorithm="HS256")


def call(method: str, path: str, bearer: str | None = None, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    data = "" if body is None else json.dumps(body)
    return Client().generic(method, path, data, content_type="application/json", headers=headers)


def send(event: dict[str, Any], path: str = "/api/webhooks/stripe") -> Any:
    body, now = json.dumps(event), int(time.time())
    secret = settings.STRIPE_WEBHOOK_SECRETS[0].encode()
    mac = hmac.new(secret, f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
    return Client().post(
        path,
        body,
        content_type="application/json",
        headers={"Stripe-Signature": f"t={now},v1={mac}"},
    )


def paid_event(user_id: int, conversation_id: int, number: int = 1) -> dict[str, Any]:
    metadata = {"user_id": str(user_id), "conversation_id": str(conversation_id)}
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": "checkout.session.completed",
        "data": {
            "object": {
                "id": f"cs_test_{number}",
                "object": "checkout.session",
                "payment_status": "paid",
                "amount_total": 999,
                "currency": "usd",
                "metadata": metadata,
            }
        },
    }


@pytest.fixture
def people(db: None) -> tuple[int, int, int]:
    """(user, the user's conversation, another user), inserted as scripts insert them."""
    sql("INSERT INTO users (email, name) VALUES ('test@example.com', 'Test User')")
    sql("INSERT INTO users (email, name) VALUES ('other@example.com', 'Other User')")
    ((user,), (other,)) = sql("SELECT id FROM users ORDER BY email DESC")
    sql("INSERT INTO conversations (user_id, title) VALUES (%s, 'Test')", user)
    ((conversation,),) = sql("SELECT id FROM conversations")
    return user, conversation, other


def test_the_database_has_defaults_for_all_other_columns(
    people: tuple[int, int, int],
) -> None:
    user, conversation, _ = people
    assert sql("SELECT is_active, is_staff, is_superuser FROM users WHERE id = %s", user) == [
        (True, False, False)
    ]
    ((status, session, created, updated),) = sql(
        "SELECT payment_status, stripe_session_id, created_at, updated_at FROM conversations"
    )
    assert (status, session) == ("unpaid", None)
    assert created is not None
    assert updated is not None
    body = call("GET", f"/api/conversations/{conversation}", token(user)).json()
    assert (body["title"], body["paymentStatus"]) == ("Test", "unpaid")


def test_a_payment_leads_to_a_working_key_without_our_code(people: tuple[int, int, int]) -> None:
    user, conversation, _ = people
    bearer = token(user)
    assert call("GET", "/api/api-keys", bearer).status_code == 403
    response = send(paid_event(user, conversation))
    assert response.status_code == 200
    assert response.json() == {"received": True}
    assert sql("SELECT payment_status FROM conversations") == [("paid",)]
    assert sql("SELECT amount_cents, currency, status FROM orders") == [(999, "usd", "completed")]
    assert sql("SELECT status FROM stripe_events") == [("processed",)]

    (key,) = call("GET", "/api/api-keys", bearer).json()["keys"]
    assert {"id", "prefix", "name", "createdAt", "lastUsedAt"} <= set(key)
    secret = call("POST", f"/api/api-keys/{key['id']}/reveal", bearer).json()["key"]
    ((stored, prefix),) = sql("SELECT key_hash, key_prefix FROM api_keys")
    assert stored == hashlib.sha256(secret.encode()).hexdigest()
    assert prefix == secret[:20]

    assert call("GET", f"/api/conversations/{conversation}", secret).status_code == 200
    assert (
        call("POST", "/api/payments/link", secret, {"conversationId": conversation}).status_code
        == 409
    )
    assert call("DELETE", f"/api/api-keys/{key['id']}", secret).json() == {"success": True}
    assert call("GET", f"/api/conversations/{conversation}", secret).status_code == 401


def test_another_users_ids_are_404_on_every_route(people: tuple[int, int, int]) -> None:
    user, conversation, other = people
    send(paid_event(user, conversation))
    sql("INSERT INTO conversations (user_id, title) VALUES (%s, 'Theirs')", other)
    ((theirs,),) = sql("SELECT id FROM conversations WHERE user_id = %s", other)
    send(paid_event(other, theirs, number=2))
    ((key,),) = sql("SELECT id FROM api_keys WHERE user_id = %s", user)
    ((order,),) = sql("SELECT id FROM orders WHERE user_id = %s", user)
    intruder = token(other)
    for method, path, body in (
        ("GET", f"/api/conversations/{conversation}", None),
        ("GET", f"/api/orders/{order}", None),
        ("DELETE", f"/api/api-keys/{key}", None),
        ("POST", f"/api/api-keys/{key}/reveal", None),
        ("POST", "/api/payments/link", {"conversationId": conversation}),
    ):
        response = call(method, path, intruder, body)
        assert response.status_code == 404, path
        assert response.headers["Content-Type"] == "application/problem+json", path
    assert len(call("GET", "/api/orders", intruder).json()["orders"]) == 1
    assert len(call("GET", "/api/conversations", intruder).json()["conversations"]) == 1
    assert len(call("GET", "/api/api-keys", intruder).json()["keys"]) == 1


PROTECTED: list[tuple[str, str]] = [
    ("POST", "/api/payments/link"),
    ("GET", "/api/api-keys"),
    ("DELETE", "/api/api-keys/1"),
    ("POST", "/api/api-keys/1/reveal"),
    ("GET", "/api/conversations"),
    ("POST", "/api/conversations"),
    ("GET", "/api/conversations/1"),
    ("GET", "/api/orders"),
    ("GET", "/api/orders/1"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize("bearer", [None, "", "sk_" + "0" * 64, "a.b.c", "\xff"])
def test_without_a_valid_bearer_every_route_is_401(
    method: str, path: str, bearer: str | None
) -> None:
    response = call(method, path, bearer, {})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE conversations SET payment_status = 'maybe'",
        "UPDATE orders SET status = 'maybe'",
        "UPDATE stripe_events SET status = 'maybe'",
        "UPDATE orders SET amount_cents = -1",
    ],
)
def test_the_database_refuses_an_unknown_status(
    people: tuple[int, int, int], statement: str
) -> None:
    user, conversation, _ = people
    send(paid_event(user, conversation))
    refused: Callable[..., Any] = pytest.raises
    with refused(Exception, match=r"(?i)check constraint"):
        sql(statement)
