"""Bearer authentication by API key. Failures are counted for each address."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apikeys import bearer, key_forms, lookup, throttling, tokens
from apikeys.cache.store import CachedKey
from apikeys.last_used import touch_last_used


def bearer_token(request: HttpRequest | Request) -> str | None:
    """The request's bearer token, None if it has none.

    Raises AuthenticationFailed for a malformed header, or Throttled.
    """
    try:
        return bearer.bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
    except bearer.MalformedAuthorization as error:
        throttling.count_failure(request)
        raise AuthenticationFailed(str(error), error.code) from None


def authenticate_key(request: HttpRequest | Request) -> CachedKey | None:
    """The request's active key, and update when it was last used; None if it carries no key.

    Raises AuthenticationFailed for a malformed header, and for a key that is unknown, revoked,
    suspended or expired, or whose user is not active: with the same message, so that a caller
    can't tell which. Raises Throttled after too many failures.
    """
    token = bearer_token(request)
    if token is None:
        return None
    is_key = tokens.is_well_formed(token) or key_forms.is_imported(token)
    if not (is_key or token.startswith(tokens.SCHEME)):
        return None
    key = lookup.find(token) if is_key else None
    if key is None:
        throttling.count_failure(request)
        raise AuthenticationFailed("The API key is not valid.")
    touch_last_used(key)
    return key


class ApiKeyAuthentication(BaseAuthentication):
    """Comes first, so that no other class accepts a request with a malformed bearer header."""

    def authenticate(self, request: Request) -> tuple[Any, CachedKey] | None:
        """(user, key), or None if the header carries no API key."""
        key = authenticate_key(request)
        return None if key is None else (_user(key.user_id), key)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _user(user_id: int) -> Any:
    """The key's active user; other fields are deferred until a view reads them."""
    return get_user_model().from_db("default", ["id", "is_active"], [user_id, True])
