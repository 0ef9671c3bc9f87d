"""Examples of bodies, composed from one value for each property's name."""

from __future__ import annotations

from typing import Any

from payflow.openapi.answers import operations

Json = dict[str, Any]

# By the property's name, or by component and property where one name means two things.
VALUES: Json = {
    "Credentials.email": "ada@example.com",
    "Credentials.password": "correct horse battery staple",
    "Event.id": "evt_1SXqYe2eZvKYlo2C",
    "Event.type": "checkout.session.completed",
    "Event.created": 1795685400,
    "Event.livemode": False,
    "Event.api_version": "2026-10-28.endive",
    "Event.data": {"object": {"id": "cs_test_a1B2c3", "object": "checkout.session"}},
    "Health.status": "ok",
    "Health.checks": {"database": "ok"},
    "KeyName.name": "Production",
    "Order.state": "completed",
    "ServiceEvent.id": "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "ServiceEvent.type": "order.completed",
    "ServiceEvent.data": {
        "userId": 7,
        "userExternalId": None,
        "conversationId": 42,
        "conversationExternalId": "plan-2026-11",
        "conversationMetadata": {"team": "analytics"},
        "orderId": 12,
        "sessionId": "cs_test_a1B2c3",
        "amountCents": 999,
        "currency": "usd",
        "tier": "premium",
    },
    "position": 1200,
    "timestamp": "2026-11-26T09:31:12Z",
    "Order.status": "completed",
    "CheckoutSession.state": "completed",
    "ServiceUser.name": "Ada Lovelace",
    "ServiceUserBody.name": "Ada Lovelace",
    "ApiKey.id": 7,
    "RevealedApiKey.id": 7,
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "amountCents": 999,
    "apiKeyId": 7,
    "conversationId": 42,
    "createdAt": "2026-11-26T09:30:00Z",
    "currency": "usd",
    "disputeStatus": None,
    "duplicate": False,
    "active": True,
    "email": "ada@example.com",
    "expiresAt": None,
    "expiresIn": 3600,
    "externalId": "7d9f7a3e-1f6b-4a52-9a3f-3d0c2f1b8e11",
    "graceSeconds": 3600,
    "id": 42,
    "key": "sk_" + 16 * "0a1b",
    "lastUsedAt": "2026-11-26T10:15:00Z",
    "metadata": {"plan": "team", "seats": "5"},
    "name": "Production",
    "next": None,
    "receiptUrl": "https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8x",
    "paidAt": "2026-11-26T09:31:12Z",
    "prefix": "sk_0a1b0a1b0a1b0a1b0",
    "previous": None,
    "received": True,
    "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJ1c2UiOiJyZWZyZXNoIn0.c2lnbmF0dXJl",
    "refundedAt": None,
    "refundedCents": 0,
    "revealed": True,
    "sessionId": "cs_test_a1B2c3",
    "stoppedBy": None,
    "stoppedReason": None,
    "success": True,
    "tier": "premium",
    "title": "Support plan",
    "updatedAt": "2026-11-26T09:30:00Z",
    "url": "https://checkout.stripe.com/c/pay/cs_test_a1B2c3",
}


def add_examples(result: Json, **_: Any) -> Json:
    """Postprocessing hook: an example for each JSON body of a request or an answer."""
    schemas = result["components"]["schemas"]
    for _path, _method, operation in operations(result):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            content = body.get("content", {}).get("application/json")
            if content:
                content["example"] = _example(content["schema"], schemas)
    return result


def _example(schema: Json, schemas: Json, name: str = "") -> Any:
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return _example(schemas[name], schemas, name)
    for combination in ("oneOf", "allOf"):
        if combination in schema:
            return _example(schema[combination][0], schemas, name)
    if "properties" in schema:
        return {
            property_: _value(f"{name}.{property_}", inner, schemas)
            for property_, inner in schema["properties"].items()
        }
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas, name)]
    return schema["const"] if "const" in schema else schema["enum"][0]


def _value(path: str, schema: Json, schemas: Json) -> Any:
    for name in (path, path.partition(".")[2]):
        if name in VALUES:
            return VALUES[name]
    return _example(schema, schemas)
