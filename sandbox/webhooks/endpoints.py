"""Webhook endpoints and their signing secrets.

Stripe docs: https://docs.stripe.com/webhooks#roll-endpoint-secrets: after a roll, both secrets
sign for a while. A secret is shown only when it is created or rolled.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.account import Account
from sandbox.identifiers import new_signing_secret
from sandbox.json_types import JsonObject
from sandbox.objects.events import webhook_endpoint

# The event types of the pinned API version, from the SDK's list.
EVENT_TYPES = frozenset((Path(__file__).parent / "event_types.txt").read_text().split())
CONFIGURED_ENDPOINT = "we_1PayflowSandboxCommandLine"
_OVERLAP_SECONDS = 24 * 3600


def create_endpoint(
    account: Account,
    url: str,
    enabled_events: list[str],
    *,
    secret: str | None = None,
    **fields: object,
) -> tuple[JsonObject, str]:
    """Create an endpoint. Returns it and its signing secret."""
    made = webhook_endpoint(url, enabled_events, created=account.clock.timestamp(), **fields)
    signing_secret = secret or new_signing_secret()
    account.store.add(made, private=_secrets([(signing_secret, None)]))
    return made, signing_secret


def configure_endpoint(account: Account, url: str | None, secret: str | None) -> str | None:
    """Create, update or remove the endpoint of `--webhook`. Returns its current secret."""
    known = account.store.find(CONFIGURED_ENDPOINT)
    if url is None:
        if known is not None:
            account.store.remove(CONFIGURED_ENDPOINT)
        return None
    if known is None:
        return create_endpoint(account, url, ["*"], secret=secret, id=CONFIGURED_ENDPOINT)[1]
    account.store.save({**known, "url": url, "status": "enabled"})
    if secret is not None:
        account.store.set_private(known["id"], _secrets([(secret, None)]))
    return active_secrets(account, known["id"])[-1]


def roll_secret(account: Account, endpoint_id: str, *, overlap: float = _OVERLAP_SECONDS) -> str:
    """Create a new secret; the old ones stay valid for `overlap` seconds."""
    account.store.get("webhook_endpoint", endpoint_id)
    end = account.clock.now() + overlap
    kept: list[tuple[str, float | None]] = [
        (each["secret"], min(end, each["until"] or end))
        for each in account.store.get_private(endpoint_id)["secrets"]
    ]
    fresh = new_signing_secret()
    account.store.set_private(endpoint_id, _secrets([*kept, (fresh, None)]))
    return fresh


def active_secrets(account: Account, endpoint_id: str) -> list[str]:
    """The currently valid secrets, newest last."""
    now = account.clock.now()
    secrets = account.store.get_private(endpoint_id)["secrets"]
    return [each["secret"] for each in secrets if each["until"] is None or each["until"] > now]


def _secrets(pairs: list[tuple[str, float | None]]) -> JsonObject:
    return {"secrets": [{"secret": secret, "until": until} for secret, until in pairs]}
