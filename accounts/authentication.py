"""Bearer authentication by JSON Web Token.

It answers for every bearer header that reaches it: the API key class, which stands before it in
`DEFAULT_AUTHENTICATION_CLASSES`, takes those that carry a key.
"""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import User
from accounts.tokens import InvalidToken, user_of_access


class JWTAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """(user, "jwt"), or None where there is no bearer header. Raises AuthenticationFailed."""
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return user_of_access(token.strip()), "jwt"
        except InvalidToken as error:
            raise AuthenticationFailed(str(error)) from None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
