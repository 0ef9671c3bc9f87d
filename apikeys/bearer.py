"""Parser of the `Authorization` header, for API keys and JWTs.

Scheme and spaces are read as in RFC 9110: any case, one space or more. A header is a bearer
token, another scheme, or malformed. Its content is never stored or logged.
"""

from __future__ import annotations

import base64
import re

from apikeys.secret_patterns import contains_stripe_secret

MAX_LENGTH = 8192  # what proxies accept for a header, nginx for one

# What nearly every request sends.
_KEY = re.compile(r"Bearer (sk_[0-9a-f]{64})", re.ASCII)
# RFC 6750: b64token, which has the alphabets of base64 and of base64url.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
# A header that was meant to be a bearer token: without a scheme, or with a wrong separator.
_MEANT_AS_BEARER = re.compile(r"bearer|sk_|rk_|svc_|whsec_|eyj", re.IGNORECASE)


class MalformedAuthorization(Exception):
    """The header holds no usable bearer token. `code` and the message are for the client."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def bearer_token(header: str) -> str | None:
    """The token of a bearer header; None if there is no header or it has another scheme.

    Raises MalformedAuthorization.
    """
    if key := _KEY.fullmatch(header):
        return key[1]
    if len(header) > MAX_LENGTH:
        raise MalformedAuthorization(
            "malformed_authorization", "The Authorization header is too long."
        )
    scheme, _, token = header.strip(" ").partition(" ")
    token = token.lstrip(" ")
    if contains_stripe_secret(header) or contains_stripe_secret(_credentials(scheme, token)):
        raise MalformedAuthorization(
            "stripe_key",
            "This is a Stripe key, not an API key of this service. It was not stored. If it was "
            "sent by mistake, roll it in the Stripe dashboard.",
        )
    if scheme.lower() == "bearer" and _TOKEN.fullmatch(token):
        return token
    if _MEANT_AS_BEARER.match(scheme):
        raise MalformedAuthorization(
            "malformed_authorization",
            "The Authorization header must read: Bearer, a space, and the key or token.",
        )
    return None


def _credentials(scheme: str, token: str) -> str:
    """The decoded credentials of Basic authentication (`curl -u sk_live_…:`), otherwise empty."""
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(f"{token}==").decode("latin-1")
    except ValueError:
        return ""
