"""Decides what a repeated `Idempotency-Key` gets: the first answer again, or a refusal.

Stripe docs: https://docs.stripe.com/api/idempotent_requests. Answers are kept for 24 hours, and
only those of requests that were carried out: a refused parameter does not use up a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.account import Account
from sandbox.errors import ApiError
from sandbox.json_types import JsonObject

_MAX_KEY_LENGTH = 255
_RETENTION = 24 * 3600


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that is carried out under a key."""

    scope: str
    key: str
    fingerprint: str


@dataclass(frozen=True)
class StoredResponse:
    """What a request was answered, and under which request id."""

    request_id: str
    status: int
    body: JsonObject


def idempotent_request(api_key: str, key: str, url: str, body: bytes) -> IdempotentRequest:
    """What makes two requests the same. Raises for a key that is too long or no text."""
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
    """The keys that were used and what came of them."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._in_flight: set[tuple[str, str]] = set()

    @contextmanager
    def lock(self, request: IdempotentRequest | None) -> Iterator[None]:
        """Carry out a request that no other may repeat meanwhile. Raises the 409."""
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
        """The answer to the same request, if it was given. Raises when it was another request."""
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
        return StoredResponse(row["request"], row["status"], json.loads(row["body"]))

    def save(self, request: IdempotentRequest | None, response: StoredResponse) -> None:
        """Keep the answer to a request that was carried out, for repeats."""
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
                json.dumps(response.body),
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
