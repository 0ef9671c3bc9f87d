"""Routing table of the API: methods and paths to functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.account import Account
from sandbox.errors import ApiError
from sandbox.json_types import JsonObject
from sandbox.params import Params


@dataclass(frozen=True)
class ApiRequest:
    """An authenticated API request with its parameters."""

    account: Account
    params: Params
    version: str
    expand: Sequence[str] = ()


Endpoint = Callable[..., JsonObject]
"""Takes the request and the ids in the path, returns the response body."""


@dataclass(frozen=True)
class Route:
    """A method, a path with `{}` for each id, and the function that handles it."""

    method: str
    path: str
    endpoint: Endpoint

    @property
    def name(self) -> str:
        """The route as Stripe's documentation names it: `GET /v1/events/{}`."""
        return f"{self.method} {self.path}"


def get(path: str, endpoint: Endpoint) -> Route:
    """A GET route."""
    return Route("GET", path, endpoint)


def post(path: str, endpoint: Endpoint) -> Route:
    """A POST route."""
    return Route("POST", path, endpoint)


def delete(path: str, endpoint: Endpoint) -> Route:
    """A DELETE route."""
    return Route("DELETE", path, endpoint)


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(route, _pattern(route.path)) for route in routes]

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The route and the path's ids. Raises Stripe's 404 for an unknown route."""
        for route, pattern in self._routes:
            if route.method == method and (match := pattern.fullmatch(path)):
                return route, match.groups()
        raise ApiError(
            404,
            f"Unrecognized request URL ({method}: {path[:200]}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/.",
        )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\{\}", r"([^/]{1,255})"))
