"""What staff may read of a payload: everything but what opens a door."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(r"secret|password|api_?key$|^(number|cvc|cvv)$|token$", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"""
    (?:sk|rk)_(?:org_)?(?:live|test)_[0-9A-Za-z]+  # Stripe's keys
    | sk_[0-9a-f]{18,64}                        # ours; a prefix of 20 characters stays readable
    | whsec_[0-9A-Za-z+/=_-]+
    | [a-z]+_[0-9A-Za-z]+_secret_[0-9A-Za-z]+   # a client secret, wherever it stands
    | eyJ[\w-]+\.[\w-]+\.[\w-]+                 # a JWT
    """,
    re.VERBOSE,
)


def redacted(value: Any, *, name: str = "") -> Any:
    """A copy of a JSON value without secrets, recognised by their name or by their look."""
    if isinstance(value, dict):
        return {key: redacted(inner, name=key) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(inner, name=name) for inner in value]
    if _SECRET_NAME.search(name) and value not in (None, ""):
        return REDACTED
    return _SECRET_VALUE.sub(REDACTED, value) if isinstance(value, str) else value
