"""What a secret looks like: for logs, staff pages, key names, headers and the search.

A secret need not start a word: an escaped line feed ("n") or an escaped space ("%20") may stand
before it. Every pattern takes linear time on any text.
"""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings

from apikeys import key_forms

REDACTED = "[redacted]"

# The first group of each pattern names the kind of secret; redaction keeps it.
# Keys of Stripe: secret, restricted, publishable, of an organisation; webhook signing secrets.
STRIPE_KEY = re.compile(
    r"([prs]k_(?:org_)?(?:live|test)_|whsec_)[A-Za-z0-9+/=_%-]+", re.IGNORECASE | re.ASCII
)
# The part of a Stripe client secret that follows the object's id: 25 random characters, or fewer
# of them if it was cut. A short word without a digit is part of an ordinary name.
CLIENT_SECRET = re.compile(
    r"(_secret_)(?:[A-Za-z0-9]{20,}|(?=[A-Za-z]*[0-9])[A-Za-z0-9]{8,})", re.ASCII
)
# Our keys, whole or cut. The stored prefix (`sk_` and 17 digits) is no secret.
API_KEY = re.compile(r"(sk_)[0-9a-f]{18,}", re.IGNORECASE | re.ASCII)
# Service tokens, whole or cut. The stored prefix (`svc_` and 8 digits) is no secret.
SERVICE_TOKEN = re.compile(r"(svc_)[0-9a-f]{12,}", re.IGNORECASE | re.ASCII)
# JSON Web Tokens of any number of parts. "eyJ" is base64 of '{"'; the shortest header has 19
# characters ({"alg":"none"}), so that many alone are a token that was cut.
JWT = re.compile(
    r"""
    (eyJ) (?: [A-Za-z0-9_-]{16,} | [A-Za-z0-9_-]{4,15} \.eyJ [A-Za-z0-9_-]* )
    (?: \. [A-Za-z0-9_-]* ){0,4}
    """,
    re.VERBOSE | re.ASCII,
)
_PATTERNS = (JWT, STRIPE_KEY, API_KEY, SERVICE_TOKEN, CLIENT_SECRET)
# Names of JSON members whose values are secrets, whatever they look like.
_SECRET_NAME = re.compile(r"secret|password|api_?key$|^(number|cvc|cvv)$|token$", re.IGNORECASE)


def _patterns() -> tuple[re.Pattern[str], ...]:
    imported = settings.IMPORTED_KEY_PATTERN if settings.configured else ""
    return (*_PATTERNS, *key_forms.redaction_patterns(imported)) if imported else _PATTERNS


def contains_secret(text: str) -> bool:
    return any(pattern.search(text) for pattern in _patterns())


def contains_stripe_secret(text: str) -> bool:
    return bool(STRIPE_KEY.search(text) or CLIENT_SECRET.search(text))


def redact(text: str) -> str:
    """The text with each secret replaced by its kind and `[redacted]`."""
    for pattern in _patterns():
        text = pattern.sub(rf"\1{REDACTED}", text)
    return text


def redact_json(value: Any) -> Any:
    """A copy of a JSON value without secrets, by their pattern or their member's name.

    Not recursive: the value may be nested deeper than Python's calls may be.
    """
    result: list[Any] = [None]
    # A value, the name of its member, and where its copy goes.
    pending: list[tuple[Any, str, Any, Any]] = [(value, "", result, 0)]
    while pending:
        value, name, target, place = pending.pop()
        if isinstance(value, dict):
            target[place] = copy = dict.fromkeys(map(redact, value))
            pending.extend((inner, key, copy, redact(key)) for key, inner in value.items())
        elif isinstance(value, list):
            target[place] = items = [None] * len(value)
            pending.extend((inner, name, items, index) for index, inner in enumerate(value))
        elif _SECRET_NAME.search(name) and value not in (None, ""):
            target[place] = REDACTED
        else:
            target[place] = redact(value) if isinstance(value, str) else value
    return result[0]
