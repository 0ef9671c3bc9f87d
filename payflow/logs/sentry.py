"""Error reports to Sentry, without secrets (`SENTRY_DSN`)."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from sentry_sdk.types import Event, Hint

from apikeys.secret_patterns import redact_json
from billing import log_context
from payflow.http import request_id

# Of a request nothing is sent that a secret may be part of.
_REQUEST_FIELDS = ("method", "url")


def start(dsn: str) -> None:
    """Report logged errors and unhandled exceptions; no bodies, headers or local variables."""
    sentry_sdk.init(
        dsn=dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrubbed,
    )


def scrubbed(event: Event, hint: Hint) -> Event:
    """The event with our ids as tags and with every secret redacted."""
    request: dict[str, Any] = event.get("request", {})
    clean: Event = redact_json(
        {
            **event,
            "request": {name: request[name] for name in _REQUEST_FIELDS if name in request},
            "tags": {**event.get("tags", {}), "request": request_id.current(), **_ids()},
        }
    )
    return clean


def _ids() -> dict[str, str]:
    return {name: str(value) for name, value in log_context.current().items()}
