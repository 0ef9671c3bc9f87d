"""Bearer authentication by JSON Web Token, and the count of failed sign-ins."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import User
from accounts.tokens import InvalidToken, user_of_access
from apikeys import throttling
from apikeys.authentication import bearer_token


class JWTAuthentication(BaseAuthentication):
    """Handles every bearer token that is no API key: ApiKeyAuthentication comes before it."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """(user, "jwt"), or None without a bearer token. Raises AuthenticationFailed, Throttled."""
        token = bearer_token(request)
        if token is None:
            return None
        try:
            return user_of_access(token), "jwt"
        except InvalidToken as error:
            throttling.count_failure(request)
            raise AuthenticationFailed(str(error)) from None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def count_failed_sign_in(request: Request) -> None:
    """For a refused refresh token. Raises Throttled."""
    throttling.count_failure(request, throttling.FailureKind.PASSWORD)
