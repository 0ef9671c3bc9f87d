"""HTTP routes for tests and scripts: health, faults, requests received, reset and seed.

They are the sandbox's own, below `/sandbox`; Stripe has no such routes. Answers are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox import __version__
from sandbox.account import API_VERSION, Account
from sandbox.errors import ApiError, invalid
from sandbox.faults import fault_from
from sandbox.fixtures import FixtureError
from sandbox.http_server import error_response
from sandbox.json_types import JsonObject
from sandbox.pages.form_data import read_form

Reset = Callable[[], None]
Seed = Callable[[JsonObject], dict[str, JsonObject]]
IsIdle = Callable[[float], bool]


class ControlApi:
    """The routes. `reset`, `seed` and `is_idle` are those of the sandbox as a whole."""

    def __init__(self, account: Account, *, reset: Reset, seed: Seed, is_idle: IsIdle) -> None:
        self._account = account
        self._reset = reset
        self._seed = seed
        self._is_idle = is_idle

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            web.get("/sandbox/health", self.health),
            web.get("/sandbox/faults", self.list_faults),
            web.post("/sandbox/faults", self.add_fault),
            web.delete("/sandbox/faults", self.remove_faults),
            web.delete("/sandbox/faults/{id}", self.remove_faults),
            web.post("/sandbox/faults/clear", self.clear_faults),
            web.get("/sandbox/requests", self.list_requests),
            web.delete("/sandbox/requests", self.clear_requests),
            web.post("/sandbox/reset", self.reset),
            web.post("/sandbox/seed", self.seed),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """GET /sandbox/health: whether it runs, and whether nothing is due `within` seconds."""
        try:
            within = max(0.0, float(request.query.get("within", "0")))
        except ValueError:
            return error_response(invalid("`within` is a number of seconds.", param="within"))
        return web.json_response(
            {
                "status": "ok",
                "version": __version__,
                "api_version": API_VERSION,
                "idle": self._is_idle(within),
            }
        )

    async def list_faults(self, request: web.Request) -> web.Response:
        """GET /sandbox/faults: the faults and how many requests have matched each."""
        return web.json_response({"faults": [asdict(each) for each in self._account.faults.all()]})

    async def add_fault(self, request: web.Request) -> web.StreamResponse:
        """POST /sandbox/faults, as JSON or as a form. The page's form returns to the page."""
        try:
            fault = self._account.faults.add(fault_from(await _sent(request)))
        except ApiError as error:
            return error_response(error)
        if _is_from_the_page(request):
            raise web.HTTPSeeOther("/sandbox")
        return web.json_response(asdict(fault), status=201)

    async def remove_faults(self, request: web.Request) -> web.Response:
        """DELETE /sandbox/faults and /sandbox/faults/{id}."""
        identifier = request.match_info.get("id")
        removed = self._account.faults.remove(identifier)
        if identifier is not None and not removed:
            return error_response(ApiError(404, f"There is no fault {identifier[:60]}."))
        return web.json_response({"removed": removed})

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        """POST /sandbox/faults/clear: the button of the page."""
        self._account.faults.remove()
        raise web.HTTPSeeOther("/sandbox")

    async def list_requests(self, request: web.Request) -> web.Response:
        """GET /sandbox/requests: those received, oldest first, by `method` and `path`."""
        method = request.query.get("method")
        found = self._account.requests.select(
            method=method.upper() if method else None, path=request.query.get("path")
        )
        return web.json_response({"requests": [asdict(each) for each in found]})

    async def clear_requests(self, request: web.Request) -> web.Response:
        """DELETE /sandbox/requests."""
        self._account.requests.clear()
        return web.json_response({})

    async def reset(self, request: web.Request) -> web.Response:
        """POST /sandbox/reset: back to the state after the first start."""
        self._reset()
        return web.json_response({})

    async def seed(self, request: web.Request) -> web.Response:
        """POST /sandbox/seed: load fixtures. Returns what was created, by name."""
        try:
            return web.json_response(self._seed(await _json(request)), status=201)
        except FixtureError as error:
            return error_response(invalid(str(error)))
        except ApiError as error:
            return error_response(error)


async def _sent(request: web.Request) -> JsonObject:
    if request.content_type == "application/json":
        return await _json(request)
    return {name: value for name, value in (await read_form(request)).items() if value}


async def _json(request: web.Request) -> JsonObject:
    try:
        value: Any = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise invalid("The body is not JSON.") from error
    if not isinstance(value, dict):
        raise invalid("The body is not a JSON object.")
    return value


def _is_from_the_page(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")
