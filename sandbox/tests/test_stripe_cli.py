"""The protocol of `stripe listen` and `logs tail`; e2e tests the real CLI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.json_types import JsonObject
from sandbox.testing import RunningSandbox
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http

PROTOCOL = "stripecli-devproxy-v1"
AUTH = {"Authorization": "Bearer sk_test_x"}


async def open_session(http: aiohttp.ClientSession, url: str, feature: str) -> JsonObject:
    data = {"device_name": "laptop", "websocket_features[]": feature}
    async with http.post(f"{url}/v1/stripecli/sessions", data=data, headers=AUTH) as response:
        opened: JsonObject = await response.json()
        return opened


def connect(http: aiohttp.ClientSession, opened: JsonObject) -> Any:
    return http.ws_connect(
        opened["websocket_url"],
        headers={"Websocket-Id": opened["websocket_id"]},
        protocols=(PROTOCOL,),
    )


def talk(conversation: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Hold a conversation with a client of its own."""

    async def hold() -> None:
        async with aiohttp.ClientSession() as http:
            await asyncio.wait_for(conversation(http), 10)

    asyncio.run(hold())


async def answer(socket: Any, frame: JsonObject, status: int) -> None:
    await socket.send_json(
        {
            "type": "webhook_response",
            "notification_id": json.loads(frame["event_payload"])["id"],
            "forward_url": "http://127.0.0.1:3000/hook",
            "status": status,
            "body": "thanks",
        }
    )


def test_a_listener_gets_signed_events_and_its_answers_are_logged(
    shop: Shop, sandbox: RunningSandbox
) -> None:
    async def conversation(http: aiohttp.ClientSession) -> None:
        opened = await open_session(http, sandbox.url, "webhooks")
        async with connect(http, opened) as socket:
            await asyncio.to_thread(shop.client.v1.products.create, {"name": "Heard"})
            frame = await socket.receive_json()
            stripe.WebhookSignature.verify_header(
                frame["event_payload"], frame["http_headers"]["Stripe-Signature"], opened["secret"]
            )
            assert socket.protocol == PROTOCOL
            assert (frame["type"], frame["endpoint"]) == ("webhook_event", {"api_version": None})
            await answer(socket, frame, 201)
            await asyncio.sleep(0.1)

    talk(conversation)

    (event,) = sandbox.events("product.created")
    by_listener = [each for each in sandbox.deliveries() if each.target.startswith("cliws_")]
    assert [(each.event, each.status, each.answer) for each in by_listener] == [
        (event["id"], 201, "thanks")
    ]


def test_a_listener_that_reconnects_gets_what_it_has_not_answered(
    shop: Shop, sandbox: RunningSandbox
) -> None:
    heard: list[str] = []

    async def conversation(http: aiohttp.ClientSession) -> None:
        opened = await open_session(http, sandbox.url, "webhooks")
        async with connect(http, opened):
            pass
        await asyncio.to_thread(shop.client.v1.products.create, {"name": "While away"})
        async with connect(http, opened) as socket:
            frame = await socket.receive_json()
            heard.append(json.loads(frame["event_payload"])["data"]["object"]["name"])

    talk(conversation)

    assert heard == ["While away"]


def test_logs_are_followed(shop: Shop, sandbox: RunningSandbox) -> None:
    logged: list[JsonObject] = []

    async def conversation(http: aiohttp.ClientSession) -> None:
        opened = await open_session(http, sandbox.url, "request_logs")
        assert opened["websocket_authorized_feature"] == "request_logs"
        async with connect(http, opened) as socket:
            with pytest.raises(stripe.InvalidRequestError):
                await asyncio.to_thread(shop.client.v1.products.retrieve, "prod_none")
            logged.append(json.loads((await socket.receive_json())["event_payload"]))

    talk(conversation)

    assert (logged[0]["status"], logged[0]["method"]) == (404, "GET")
    assert logged[0]["error"]["code"] == "resource_missing"


def test_a_stranger_is_refused(sandbox: RunningSandbox) -> None:
    async def conversation(http: aiohttp.ClientSession) -> None:
        async with http.get(
            f"{sandbox.url}/subscribe/acct_x", headers={"Websocket-Id": "cliws_none"}
        ) as response:
            assert response.status == 400
            assert (await response.json())["error"]["message"] == "Unknown WebSocket ID."

    talk(conversation)


NONSENSE = (
    "{",
    "[]",
    "[" * 100_000,
    '{"type": "event_ack"}',
    '{"type": "webhook_response"}',
    r'{"type": "webhook_response", "notification_id": "\ud800", "status": 200}',
    '{"type": "webhook_response", "notification_id": "EVENT", "status": 1' + "0" * 30 + "}",
    r'{"type": "webhook_response", "notification_id": "EVENT", "status": 500, "body": "\ud800"}',
)


def test_nonsense_on_the_line_is_ignored(shop: Shop, sandbox: RunningSandbox) -> None:
    async def conversation(http: aiohttp.ClientSession) -> None:
        opened = await open_session(http, sandbox.url, "webhooks")
        async with connect(http, opened) as socket:
            await asyncio.to_thread(shop.client.v1.customers.create)
            event = json.loads((await socket.receive_json())["event_payload"])["id"]
            for text in NONSENSE:
                await socket.send_str(text.replace("EVENT", event))
            await asyncio.to_thread(shop.client.v1.products.create, {"name": "Still there"})
            assert (await socket.receive_json())["type"] == "webhook_event"

    talk(conversation)

    assert len(sandbox.events("product.created")) == 1
