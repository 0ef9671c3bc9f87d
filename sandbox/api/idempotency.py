"""Idempotency keys: stored responses, replayed when a request is repeated.

Stripe docs: https://docs.stripe.com/api/idempotent_requests. Responses are stored for 24 hours, and
only for requests that were executed: a request with invalid parameters does not use up its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.account import Account
from sandbox.encoding import compact, load
from sandbox.errors import ApiError
from sandbox.json_types import JsonObject

_MAX_KEY_LENGTH = 255
_RETENTION = 24 * 3600


@dataclass(frozen=True)
class IdempotentRequest:
    """A request with an idempotency key; `fingerprint` is a hash of its URL and body."""

    scope: str
    key: str
    fingerprint: str


@dataclass(frozen=True)
class StoredResponse:
    """The response to the first request with a key."""

    request_id: str
    status: int
    body: JsonObject


def idempotent_request(api_key: str, key: str, url: str, body: bytes) -> IdempotentRequest:
    """Identify a request for comparison. Raises a 400 if the key is too long or not printable."""
    if not key.isprintable():
        raise ApiError(400, "Idempotency keys have to be text.", kind="idempotency_error")
    if len(key) > _MAX_KEY_LENGTH:
        raise ApiError(
            400,
            f"Idempotency keys can be at most {_MAX_KEY_LENGTH} characters long.",
            kind="idempotency_error",
        )
    content = hashlib.sha256(b"\0".join([url.encode(), body]))
    scope = hashlib.sha256(api_key.encode()).hexdigest()
    return IdempotentRequest(scope, key, content.hexdigest())


class IdempotencyStore:
    """Used keys and their responses."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._in_flight: set[tuple[str, str]] = set()

    @contextmanager
    def lock(self, request: IdempotentRequest | None) -> Iterator[None]:
        """Lock the key while the request runs. Raises a 409 if it is locked."""
        if request is None:
            yield
            return
        slot = (request.scope, request.key)
        if slot in self._in_flight:
            raise _in_use(request.key)
        self._in_flight.add(slot)
        try:
            yield
        finally:
            self._in_flight.discard(slot)

    def find_response(self, request: IdempotentRequest | None) -> StoredResponse | None:
        """The stored response, if any. Raises a 400 if the key was used for a different request."""
        if request is None:
            return None
        row = self._account.connection.execute(
            "SELECT fingerprint, request, status, body FROM idempotency"
            " WHERE scope = ? AND key = ? AND at > ?",
            (request.scope, request.key, self._account.clock.timestamp() - _RETENTION),
        ).fetchone()
        if row is None:
            return None
        if row["fingerprint"] != request.fingerprint:
            raise _mismatch(request.key)
        return StoredResponse(row["request"], row["status"], load(row["body"]))

    def save(self, request: IdempotentRequest | None, response: StoredResponse) -> None:
        """Store the response of an executed request."""
        if request is None:
            return
        self._account.connection.execute(
            "INSERT OR REPLACE INTO idempotency"
            " (scope, key, fingerprint, request, status, body, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                request.scope,
                request.key,
                request.fingerprint,
                response.request_id,
                response.status,
                compact(response.body),
                self._account.clock.timestamp(),
            ),
        )


def _mismatch(key: str) -> ApiError:
    return ApiError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first "
        f"used with. Try using a key other than '{key}' if you meant to execute a different "
        "request.",
        kind="idempotency_error",
    )


def _in_use(key: str) -> ApiError:
    return ApiError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        kind="idempotency_error",
        code="idempotency_key_in_use",
    )
