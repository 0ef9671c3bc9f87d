"""Websocket sessions of `stripe listen` and `stripe logs tail`, as spoken by Stripe's CLI 1.52.0.

Observed by running that CLI: it opens a session over HTTP and connects a websocket with its id. It
receives signed events as frames and returns the application's response to each. It reconnects
with the same id; events without a response are then sent again.
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
from sandbox.webhooks.events import drop_target
from sandbox.webhooks.outbox import Delivery
from sandbox.webhooks.signing import signature_header

SUBPROTOCOL = "stripecli-devproxy-v1"
_DEFAULT_SECRET = "whsec_" + "5a6d" * 16
_REQUEST_LOGS = "request_logs"
_GRACE_PERIOD = 15.0
_SEND_TIMEOUT = 2.0
_PREFIX = "cliws_"

log = logging.getLogger("sandbox")


@dataclass
class CliSession:
    """A CLI session, connected or between connections."""

    feature: str
    socket: web.WebSocketResponse | None = None


def is_cli_session(target: str) -> bool:
    """Whether a delivery target is a CLI session rather than an endpoint."""
    return target.startswith(_PREFIX)


class CliSessions:
    """All CLI sessions."""

    def __init__(self, account: Account) -> None:
        self._account = account
        # The configured secret, so that the application accepts forwarded events too; otherwise
        # a constant one, so that it can be kept in the application's settings.
        self.secret = account.options.webhook_secret or _DEFAULT_SECRET
        self._sessions: dict[str, CliSession] = {}
        self._removal_timers: dict[str, asyncio.TimerHandle] = {}
        self.on_accepted: Callable[[str, str], None] = lambda event, target: None

    def open_session(self, features: list[str]) -> tuple[str, str]:
        """Open a session. Returns its id and its feature."""
        feature = _REQUEST_LOGS if _REQUEST_LOGS in features else "webhooks"
        identifier = new_id("stripecli_session")
        self._sessions[identifier] = CliSession(feature)
        return identifier, feature

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one websocket until it closes."""
        identifier = request.headers.get("Websocket-Id", "")
        cli_session = self._sessions.get(identifier)
        if cli_session is None:
            return web.json_response({"error": {"message": "Unknown WebSocket ID."}}, status=400)
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=2**22)
        await socket.prepare(request)
        await self._connect(identifier, cli_session, socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(identifier, message.data)
        finally:
            self._disconnect(identifier, cli_session, socket)
        return socket

    async def send_event(self, target: str, payload: bytes) -> None:
        """Send an event. A disconnected session receives it when it reconnects."""
        cli_session = self._sessions.get(target)
        if cli_session is None or cli_session.socket is None or cli_session.socket.closed:
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
        await _send(cli_session.socket, frame)

    async def send_log_entry(self, entry: JsonObject) -> None:
        """Send an API request's log entry to `stripe logs tail`."""
        frame = {
            "type": "request_log_event",
            "event_payload": json.dumps(entry),
            "request_log_id": new_id("request_log"),
        }
        for cli_session in list(self._sessions.values()):
            if cli_session.feature == _REQUEST_LOGS and cli_session.socket is not None:
                await _send(cli_session.socket, frame)

    @property
    def wants_logs(self) -> bool:
        """Whether `stripe logs tail` is connected."""
        return any(
            each.feature == _REQUEST_LOGS and each.socket is not None
            for each in self._sessions.values()
        )

    async def close(self) -> None:
        """Close all connections."""
        for timer in self._removal_timers.values():
            timer.cancel()
        for cli_session in list(self._sessions.values()):
            if cli_session.socket is not None:
                await cli_session.socket.close()

    async def _connect(
        self, identifier: str, cli_session: CliSession, socket: web.WebSocketResponse
    ) -> None:
        if timer := self._removal_timers.pop(identifier, None):
            timer.cancel()
        cli_session.socket = socket
        if cli_session.feature == _REQUEST_LOGS:
            return
        self._account.cli_sessions.add(identifier)
        with self._account.change():
            for event in self._account.outbox.pending_events(identifier):
                self._account.jobs.add("deliver", event=event, target=identifier)

    def _disconnect(
        self, identifier: str, cli_session: CliSession, socket: web.WebSocketResponse
    ) -> None:
        if cli_session.socket is not socket:
            return  # it has already reconnected
        cli_session.socket = None
        loop = asyncio.get_running_loop()
        self._removal_timers[identifier] = loop.call_later(_GRACE_PERIOD, self._remove, identifier)

    def _remove(self, identifier: str) -> None:
        self._removal_timers.pop(identifier, None)
        self._sessions.pop(identifier, None)
        self._account.cli_sessions.discard(identifier)
        with self._account.change():
            drop_target(self._account, identifier)

    def _receive(self, identifier: str, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and message.get("type") == "webhook_response":
            self._record_response(identifier, message)

    def _record_response(self, identifier: str, message: dict[str, Any]) -> None:
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
    """Send a frame with a timeout: a client that does not read must not block the sender."""
    try:
        async with asyncio.timeout(_SEND_TIMEOUT):
            await socket.send_json(frame)
    except (ConnectionError, TimeoutError):
        log.info("a CLI session disconnected during a write")


def _text(value: object) -> str:
    """Convert to storable text: JSON can contain lone surrogates, which UTF-8 cannot encode."""
    return "" if value is None else str(value).encode(errors="replace").decode()
