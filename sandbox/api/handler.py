"""The API's request handler: authentication, parameters, idempotency, dispatch, errors."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.account import API_VERSION, Account, Cause
from sandbox.api.documented import check_parameters, is_documented
from sandbox.api.expansion import expand
from sandbox.api.idempotency import (
    IdempotencyStore,
    IdempotentRequest,
    StoredResponse,
    idempotent_request,
)
from sandbox.api.parsers import parse_form
from sandbox.api.routing import ApiRequest, Route, Router
from sandbox.encoding import indented
from sandbox.errors import ApiError, CardError, invalid, parameter_not_supported
from sandbox.faults import Fault, default_error
from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject
from sandbox.params import Params
from sandbox.request_log import LoggedRequest, loggable
from sandbox.webhooks.cli_sessions import CliSessions

_FORM = "application/x-www-form-urlencoded"
_TEST_KEY = re.compile(r"(sk|rk)_test_\w+", re.ASCII)
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?(; [\w=.; ]+)?", re.ASCII)

log = logging.getLogger("sandbox")


@dataclass
class RequestContext:
    """State of one request, used for the response's headers and the request log."""

    method: str
    path: str
    request_id: str = field(default_factory=lambda: new_id("request"))
    version: str = API_VERSION
    idempotent_request: IdempotentRequest | None = None
    replayed: str | None = None
    """Request id of the original response, if this one is replayed."""
    params: JsonObject = field(default_factory=dict)
    fault: Fault | None = None
    """The fault that applies."""

    def headers(self, status: int) -> dict[str, str]:
        """The response headers."""
        headers = {"Request-Id": self.request_id, "Stripe-Version": self.version}
        if self.idempotent_request is not None:
            headers["Idempotency-Key"] = self.idempotent_request.key
            headers["Original-Request"] = self.replayed or self.request_id
        if self.replayed is not None:
            headers["Idempotent-Replayed"] = "true"
        if status >= 400:
            retry = status in {409, 429} or status >= 500
            headers["Stripe-Should-Retry"] = "true" if retry else "false"
        return headers


class ApiHandler:
    """Handles every API request."""

    def __init__(self, account: Account, router: Router, cli_sessions: CliSessions) -> None:
        self._account = account
        self._router = router
        self._cli_sessions = cli_sessions
        self._idempotency = IdempotencyStore(account)

    async def handle(self, request: web.Request) -> web.Response:
        """Handle one request. Every failure becomes an error object as Stripe's API returns it."""
        context = RequestContext(request.method, request.path)
        received = self._account.clock.now()
        try:
            status, body = await self._respond(request, context)
        except ApiError as error:
            status, body = error.status, error.envelope(context.request_id)
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(413, "The request body is too large.")
            status, body = 413, too_large.envelope(context.request_id)
        except _RequestDropped:
            status, body = 0, {}
        except ConnectionError:
            raise  # the client has disconnected
        except (web.HTTPBadRequest, web.RequestPayloadError):
            unreadable = invalid("The request body could not be read.")
            status, body = 400, unreadable.envelope(context.request_id)
        except Exception:
            log.exception("%s %s failed", context.method, context.path)
            status, body = 500, _unknown_error().envelope(context.request_id)
        if context.fault is not None and context.fault.drop == "answer":
            status = 0
        self._account.requests.add(_logged(request, context, received, status, body))
        if not status:
            return _close_connection(request)
        if self._cli_sessions.wants_logs:
            await self._cli_sessions.send_log_entry(self._log_entry(context, status, body))
        return web.Response(
            body=indented(body),
            status=status,
            headers=context.headers(status),
            content_type="application/json",
            charset="utf-8",
        )

    async def _respond(
        self, request: web.Request, context: RequestContext
    ) -> tuple[int, JsonObject]:
        route, identifiers = self._router.find(context.method, context.path)
        key = _api_key(request.headers)
        version = _version(request.headers)
        context.version = version or API_VERSION
        body = await request.read()
        values = _values(request, body)
        context.params = values
        await self._apply_fault(context, key)
        context.idempotent_request = _idempotent_request(request, key, body)
        with self._idempotency.lock(context.idempotent_request):
            if stored := self._idempotency.find_response(context.idempotent_request):
                context.replayed = stored.request_id
                return stored.status, stored.body
            await self._inject_faults()
            if is_documented(route.name):
                check_parameters(route.name, values, version=version)
            return self._execute(
                context, lambda: self._run(route, identifiers, values, version=version)
            )

    def _run(
        self, route: Route, identifiers: tuple[str, ...], values: JsonObject, *, version: str
    ) -> JsonObject:
        """Run an endpoint. A documented parameter that it did not read is refused by name."""
        params = Params(values)
        paths = params.texts("expand")
        request = ApiRequest(self._account, params.without("expand"), version, paths)
        body = route.endpoint(request, *identifiers)
        if is_documented(route.name) and (unread := params.unread()):
            raise parameter_not_supported(unread[0])
        return expand(self._account, body, paths)

    async def _apply_fault(self, context: RequestContext, key: str) -> None:
        fault = context.fault = self._account.faults.apply_to(context.method, context.path, key)
        if fault is None:
            return
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "request":
            raise _RequestDropped
        if error := fault.error():
            raise error

    def call(self, method: str, path: str, values: JsonObject) -> JsonObject:
        """Run a request of a fixture in the current transaction, like one of Stripe's CLI.

        Raises ApiError.
        """
        route, identifiers = self._router.find(method, path)
        if is_documented(route.name):
            check_parameters(route.name, values, version="")
        return self._run(route, identifiers, values, version="")

    async def _inject_faults(self) -> None:
        switches = self._account.switches
        if switches.api_delay:
            await asyncio.sleep(switches.api_delay)
        if status := switches.api_error:
            kind, message = default_error(status)
            raise ApiError(status, message, kind=kind)

    def _execute(
        self, context: RequestContext, work: Callable[[], JsonObject]
    ) -> tuple[int, JsonObject]:
        key = context.idempotent_request.key if context.idempotent_request else None
        # The response is stored in the same transaction as the change: after a crash, a retry
        # finds either both or neither.
        with self._account.change(Cause(context.request_id, key)):
            try:
                status, body = 200, work()
            except CardError as error:
                status, body = error.status, error.envelope(context.request_id)
            self._idempotency.save(
                context.idempotent_request, StoredResponse(context.request_id, status, body)
            )
        return status, body

    def _log_entry(self, context: RequestContext, status: int, body: JsonObject) -> JsonObject:
        error = body.get("error") or {}
        names = ("type", "charge", "code", "decline_code", "message", "param")
        return {
            "created_at": self._account.clock.timestamp(),
            "error": {name: error.get(name, "") for name in names},
            "livemode": False,
            "method": context.method,
            "request_id": context.request_id,
            "status": status,
            "url": context.path,
        }


class _RequestDropped(Exception):
    """The connection is closed without carrying the request out."""


def _close_connection(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _logged(
    request: web.Request,
    context: RequestContext,
    received: float,
    status: int,
    body: JsonObject,
) -> LoggedRequest:
    error = body.get("error") or {}
    key = request.headers.get("Idempotency-Key")
    return LoggedRequest(
        id=context.request_id,
        at=received,
        method=context.method,
        path=context.path,
        params=loggable(context.params),
        status=status,
        error=error.get("code") or error.get("type"),
        idempotency_key=key,
        replayed=context.replayed is not None,
        api_version=request.headers.get("Stripe-Version"),
        user_agent=request.headers.get("User-Agent"),
        fault=context.fault.id if context.fault else None,
    )


def _api_key(headers: Mapping[str, str]) -> str:
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    key = credentials.strip() if scheme.lower() == "bearer" else ""
    if scheme.lower() == "basic":
        key = _basic_user(credentials)
    if not key:
        raise ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
            "YOUR_SECRET_KEY').",
        )
    if not _TEST_KEY.fullmatch(key):
        raise ApiError(
            401,
            f"Invalid API Key provided: {_masked(key)}. "
            "This sandbox accepts only test keys (sk_test_… or rk_test_…).",
        )
    return key


def _basic_user(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""


def _masked(key: str) -> str:
    shown = key if key.isascii() and key.isprintable() else "?"
    return f"{shown[:8]}{'*' * 8}{shown[-4:]}" if len(shown) > 16 else "*" * 8


def _version(headers: Mapping[str, str]) -> str:
    """The requested API version; empty if the header is missing, as with Stripe's CLI."""
    version = headers.get("Stripe-Version", "")
    if version and not _VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version[:40]}")
    return version


def _values(request: web.Request, body: bytes) -> JsonObject:
    values = parse_form(request.rel_url.raw_query_string)
    if not body:
        return values
    if request.content_type not in {_FORM, "application/octet-stream"}:
        raise invalid(
            "Invalid request (check that your POST content type is "
            f"{_FORM}). If you have any questions, we can help at https://support.stripe.com/."
        )
    return {**values, **parse_form(body)}


def _idempotent_request(
    request: web.Request, api_key: str, body: bytes
) -> IdempotentRequest | None:
    key = request.headers.get("Idempotency-Key")
    if not key or request.method != "POST":
        return None
    return idempotent_request(api_key, key, request.rel_url.raw_path_qs, body)


def _unknown_error() -> ApiError:
    return ApiError(
        500,
        "An unknown error occurred. Please see the sandbox's own log.",
        kind="api_error",
    )
