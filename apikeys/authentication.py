"""Bearer authentication by API key: one query by the unique hash."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apikeys import services, tokens
from apikeys.models import ApiKey


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """(user, key), or None where the header carries no API key.

        Raises AuthenticationFailed for a key that is malformed, unknown, revoked, suspended or
        expired, or whose user is not active: always in the same words, so that nothing is learnt.
        """
        scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret.startswith(tokens.SCHEME):
            return None
        key = self._find(secret)
        if key is None or not key.may_authenticate() or not key.user.is_active:
            raise AuthenticationFailed("The API key is not valid.")
        services.note_use(key)
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _find(self, secret: str) -> ApiKey | None:
        if not tokens.is_well_formed(secret):
            return None
        try:
            return ApiKey.objects.select_related("user").get(key_hash=tokens.digest(secret))
        except ApiKey.DoesNotExist:
            return None
