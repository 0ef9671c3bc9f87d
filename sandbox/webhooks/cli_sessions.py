"""Decides how `stripe listen` and `stripe logs tail` are served: Stripe's CLI protocol, 1.52.0.

Established by running that CLI: it opens a session over HTTP, connects a websocket that names it,
gets signed events as frames and answers each with what the application said. It reconnects with
the same id, so what has not been answered is sent again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from sandbox.account import Account
from sandbox.identifiers import new_id, random_text
from sandbox.json_types import JsonObject
from sandbox.webhooks.events import forget_target
from sandbox.webhooks.outbox import Delivery
from sandbox.webhooks.signing import signature_header

SUBPROTOCOL = "stripecli-devproxy-v1"
_SECRET_WITHOUT_CONFIGURATION = "whsec_" + "5a6d" * 16
_REQUEST_LOGS = "request_logs"
_GRACE_SECONDS = 15.0
_PATIENCE_SECONDS = 2.0
_PREFIX = "cliws_"

log = logging.getLogger("sandbox")


@dataclass
class Listener:
    """One session of the CLI, connected or about to reconnect."""

    feature: str
    socket: web.WebSocketResponse | None = None


def is_listener(target: str) -> bool:
    """Whether a delivery goes to the CLI rather than to an endpoint."""
    return target.startswith(_PREFIX)


class Listeners:
    """The sessions of the CLI."""

    def __init__(self, account: Account) -> None:
        self._account = account
        # The configured secret, so that an application set up for the endpoint accepts what the
        # CLI forwards; else one that never changes, so that it can stand in its settings.
        self.secret = account.options.webhook_secret or _SECRET_WITHOUT_CONFIGURATION
        self._sessions: dict[str, Listener] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self.on_accepted: Callable[[str, str], None] = lambda event, target: None

    def open_session(self, features: list[str]) -> tuple[str, str]:
        """A new session: its id, and the feature it is for."""
        feature = _REQUEST_LOGS if _REQUEST_LOGS in features else "webhooks"
        identifier = new_id("stripecli_session")
        self._sessions[identifier] = Listener(feature)
        return identifier, feature

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one websocket until it closes."""
        identifier = request.headers.get("Websocket-Id", "")
        listener = self._sessions.get(identifier)
        if listener is None:
            return web.json_response({"error": {"message": "Unknown WebSocket ID."}}, status=400)
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=2**22)
        await socket.prepare(request)
        await self._arrive(identifier, listener, socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(identifier, message.data)
        finally:
            self._leave(identifier, listener, socket)
        return socket

    async def push(self, target: str, payload: bytes) -> None:
        """Send an event; when the listener is away it gets it on its return."""
        listener = self._sessions.get(target)
        if listener is None or listener.socket is None or listener.socket.closed:
            return
        frame = {
            "type": "webhook_event",
            "endpoint": {"api_version": None},
            "event_payload": payload.decode(),
            "http_headers": {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Accept": "*/*; q=0.5, application/xml",
                "Cache-Control": "no-cache",
                "Stripe-Signature": signature_header(payload, [self.secret]),
            },
            "webhook_conversation_id": "wc_" + random_text(24),
            "webhook_id": "wh_" + random_text(24),
        }
        await _send(listener.socket, frame)

    async def report(self, entry: JsonObject) -> None:
        """Tell `stripe logs tail` of an API request."""
        frame = {
            "type": "request_log_event",
            "event_payload": json.dumps(entry),
            "request_log_id": new_id("request_log"),
        }
        for listener in list(self._sessions.values()):
            if listener.feature == _REQUEST_LOGS and listener.socket is not None:
                await _send(listener.socket, frame)

    @property
    def wants_logs(self) -> bool:
        """Whether anybody follows the API's requests."""
        return any(
            each.feature == _REQUEST_LOGS and each.socket is not None
            for each in self._sessions.values()
        )

    async def close(self) -> None:
        """Say goodbye to everyone."""
        for timer in self._leaving.values():
            timer.cancel()
        for listener in list(self._sessions.values()):
            if listener.socket is not None:
                await listener.socket.close()

    async def _arrive(
        self, identifier: str, listener: Listener, socket: web.WebSocketResponse
    ) -> None:
        if timer := self._leaving.pop(identifier, None):
            timer.cancel()
        listener.socket = socket
        if listener.feature == _REQUEST_LOGS:
            return
        self._account.listeners.add(identifier)
        with self._account.change():
            for event in self._account.outbox.awaited_by(identifier):
                self._account.schedule.add("deliver", event=event, target=identifier)

    def _leave(self, identifier: str, listener: Listener, socket: web.WebSocketResponse) -> None:
        if listener.socket is not socket:
            return  # it has reconnected already
        listener.socket = None
        loop = asyncio.get_running_loop()
        self._leaving[identifier] = loop.call_later(_GRACE_SECONDS, self._forget, identifier)

    def _forget(self, identifier: str) -> None:
        self._leaving.pop(identifier, None)
        self._sessions.pop(identifier, None)
        self._account.listeners.discard(identifier)
        with self._account.change():
            forget_target(self._account, identifier)

    def _hear(self, identifier: str, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and message.get("type") == "webhook_response":
            self._note_response(identifier, message)

    def _note_response(self, identifier: str, message: dict[str, Any]) -> None:
        delivery = self._delivery(identifier, message)
        if delivery is None:
            return
        with self._account.change():
            self._account.outbox.log(delivery)
            if delivery.accepted:
                self.on_accepted(delivery.event, identifier)

    def _delivery(self, identifier: str, message: dict[str, Any]) -> Delivery | None:
        event = self._account.store.find(_text(message.get("notification_id")))
        status = message.get("status")
        if event is None or not isinstance(status, int) or not 100 <= status <= 599:
            return None
        return Delivery(
            event=event["id"],
            type=event["type"],
            target=identifier,
            url=_text(message.get("forward_url")),
            attempt=1,
            at=self._account.clock.now(),
            status=status,
            error=None,
            answer=_text(message.get("body")),
            milliseconds=0,
        )


async def _send(socket: web.WebSocketResponse, frame: JsonObject) -> None:
    """Write to a listener; one that does not read must not hold up who writes."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await socket.send_json(frame)
    except (ConnectionError, TimeoutError):
        log.info("a listener went away while it was being written to")


def _text(value: object) -> str:
    """What a listener says, as a text that can be kept: JSON can spell what UTF-8 cannot."""
    return "" if value is None else str(value).encode(errors="replace").decode()
