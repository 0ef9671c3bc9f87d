"""Bearer authentication by API key."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apikeys import bearer, lookup, tokens
from apikeys.cache.store import CachedKey
from apikeys.last_used import touch_last_used


def authenticate_key(request: HttpRequest | Request) -> CachedKey | None:
    """The live key that the request carries, whose use is noted; None where it carries none.

    Raises AuthenticationFailed for a malformed header, and for a key that is unknown, revoked,
    suspended or expired, or whose user is not active: always in the same words, so that nothing
    is learnt.
    """
    try:
        token = bearer.bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
    except bearer.MalformedAuthorization as refusal:
        raise AuthenticationFailed(str(refusal), refusal.code) from None
    if token is None or not token.startswith(tokens.SCHEME):
        return None
    key = lookup.find(token) if tokens.is_well_formed(token) else None
    if key is None:
        raise AuthenticationFailed("The API key is not valid.")
    touch_last_used(key)
    return key


class ApiKeyAuthentication(BaseAuthentication):
    """Stands first, so that a malformed bearer header is refused whoever else might read it."""

    def authenticate(self, request: Request) -> tuple[Any, CachedKey] | None:
        """(user, key), or None where the header carries no API key."""
        key = authenticate_key(request)
        return None if key is None else (_user(key.user_id), key)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _user(user_id: int) -> Any:
    """The key's active user: what else a view asks of them is read when it asks."""
    return get_user_model().from_db("default", ["id", "is_active"], [user_id, True])
