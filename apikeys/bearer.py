"""What an `Authorization` header may be: read strictly, refused politely, never stored or logged.

Scheme and surrounding spaces are read as RFC 9110 has them (any case, one space or more). Beyond
that there is a bearer token, or another scheme, or a refusal.
"""

from __future__ import annotations

import base64
import re

LONGEST = 8192  # also the longest header that gunicorn lets through

# What nearly every request sends.
_KEY = re.compile(r"Bearer (sk_[0-9a-f]{64})", re.ASCII)
# RFC 6750: b64token, which has the alphabets of base64 and of base64url.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
# Wherever a word begins with it: behind a tab, in quotes, without a scheme.
_STRIPE = re.compile(r"(?<![A-Za-z0-9])(?:[sr]k_(?:live|test)_|whsec_)", re.ASCII)
_BARE = re.compile(r"bearer|sk_|rk_|whsec_|eyj", re.IGNORECASE)


class MalformedAuthorization(Exception):
    """The header holds no usable bearer token. `code` and the text are for the client."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def bearer_token(header: str) -> str | None:
    """The token of a bearer header; None where there is no header, or one of another scheme.

    Raises MalformedAuthorization.
    """
    if key := _KEY.fullmatch(header):
        return key[1]
    if len(header) > LONGEST:
        raise MalformedAuthorization(
            "malformed_authorization", "The Authorization header is too long."
        )
    scheme, _, token = header.strip(" ").partition(" ")
    token = token.lstrip(" ")
    if _STRIPE.search(header) or _STRIPE.search(_credentials(scheme, token)):
        raise MalformedAuthorization(
            "stripe_key",
            "This is a key of Stripe's, not of ours. It was not stored here; if it has reached "
            "us by mistake, roll it in Stripe's dashboard.",
        )
    if scheme.lower() == "bearer" and _TOKEN.fullmatch(token):
        return token
    if _BARE.match(scheme):
        raise MalformedAuthorization(
            "malformed_authorization",
            "The Authorization header must read: Bearer, a space, and the key or token.",
        )
    return None


def _credentials(scheme: str, token: str) -> str:
    """What Basic authentication hides in base64 (`curl -u sk_live_…:`); empty where it is none."""
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(f"{token}==").decode("latin-1")
    except ValueError:
        return ""
