"""Webhook delivery: each attempt is signed and logged, and failed attempts are retried.

Stripe docs: https://docs.stripe.com/webhooks#retries. Deliveries run concurrently and arrive in any
order. A manual resend is not retried.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from sandbox.account import Account
from sandbox.encoding import indented
from sandbox.json_types import JsonObject
from sandbox.webhooks.cli_sessions import CliSessions, is_cli_session
from sandbox.webhooks.endpoints import active_secrets
from sandbox.webhooks.events import mark_delivered, subscribed_endpoints
from sandbox.webhooks.outbox import Delivery
from sandbox.webhooks.signing import signature_header

_MAX_CONCURRENT = 32
_MAX_RESPONSE_READ = 2000


@dataclass(frozen=True)
class AttemptResult:
    """Result of one delivery attempt."""

    status: int | None = None
    answer: str | None = None
    error: str | None = None


def payload_of(event: JsonObject) -> bytes:
    """The request body of an event."""
    return indented(event)


def resend(account: Account, event: JsonObject, targets: Sequence[str] | None = None) -> None:
    """Resend an event once, to the given targets or to all subscribers."""
    if targets is None:
        targets = [*subscribed_endpoints(account, event["type"]), *sorted(account.cli_sessions)]
    for target in targets:
        account.jobs.add("deliver", event=event["id"], target=target, manual=True)


class WebhookSender:
    """Sends events to endpoints and to Stripe's CLI."""

    def __init__(self, account: Account, cli_sessions: CliSessions) -> None:
        self._account = account
        self._cli_sessions = cli_sessions
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._client: aiohttp.ClientSession | None = None
        self._waiting: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()

    async def deliver(
        self, *, event: str, target: str, attempt: int = 1, manual: bool = False
    ) -> None:
        """Make one delivery attempt and schedule a retry if it fails."""
        found = self._account.store.find(event)
        if found is None:
            return
        if is_cli_session(target):
            await self._cli_sessions.send_event(target, payload_of(found))
            return
        endpoint = self._account.store.find(target)
        if endpoint is None or endpoint["status"] != "enabled":
            return
        started = time.monotonic()
        result = await self._attempt(found, endpoint, attempt)
        milliseconds = round(1000 * (time.monotonic() - started))
        self._record(found, endpoint, attempt, result, milliseconds, manual=manual)

    def mark_accepted(self, event: str, target: str) -> None:
        """Record that a target accepted an event; wake `wait_acknowledged`."""
        mark_delivered(self._account, event, target)
        if event in self._waiting and not self._account.outbox.pending_count(event):
            self._waiting[event].set()

    async def wait_acknowledged(self, event: str, timeout: float) -> bool:
        """Wait until every target has accepted an event. Returns False on timeout."""
        if not self._account.outbox.pending_count(event):
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._waiting[event].wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(event, None)
        return True

    async def _attempt(
        self, event: JsonObject, endpoint: JsonObject, attempt: int
    ) -> AttemptResult:
        if self._account.switches.fails(event["type"], attempt):
            return AttemptResult(error="failed by a switch")
        body = payload_of(event)
        secrets = active_secrets(self._account, endpoint["id"])
        async with self._slots:
            try:
                return await self._post(endpoint["url"], body, signature_header(body, secrets))
            except TimeoutError:
                return AttemptResult(error="timed out")
            except aiohttp.ClientConnectorError as error:
                return AttemptResult(error=_connection_error(error.os_error))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return AttemptResult(error=str(error) or type(error).__name__)

    async def _post(self, url: str, body: bytes, signature: str) -> AttemptResult:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Stripe-Signature": signature,
        }
        timeout = aiohttp.ClientTimeout(total=self._account.options.delivery_timeout)
        async with self._session().post(
            url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            answer = await response.content.read(_MAX_RESPONSE_READ)
            return AttemptResult(status=response.status, answer=answer.decode(errors="replace"))

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            connector = aiohttp.TCPConnector(limit=_MAX_CONCURRENT)
            # No cookies: Stripe does not return an application's cookies either.
            self._client = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._client

    def _record(
        self,
        event: JsonObject,
        endpoint: JsonObject,
        attempt: int,
        result: AttemptResult,
        milliseconds: int,
        *,
        manual: bool,
    ) -> None:
        delivery = Delivery(
            event=event["id"],
            type=event["type"],
            target=endpoint["id"],
            url=endpoint["url"],
            attempt=attempt,
            at=self._account.clock.now(),
            status=result.status,
            error=result.error,
            answer=result.answer,
            milliseconds=milliseconds,
        )
        with self._account.change():
            self._account.outbox.log(delivery)
            if delivery.accepted:
                self.mark_accepted(event["id"], endpoint["id"])
            elif not manual:
                self._schedule_retry(event["id"], endpoint["id"], attempt)

    def _schedule_retry(self, event: str, target: str, attempt: int) -> None:
        delays = self._account.options.retry_delays
        if attempt <= len(delays):
            self._account.jobs.add(
                "deliver",
                delay=delays[attempt - 1],
                event=event,
                target=target,
                attempt=attempt + 1,
            )


def _connection_error(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "cannot connect"
