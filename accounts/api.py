"""`/api/auth/token`: JWTs for an email address and a password, or for a refresh token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import authenticate, user_logged_in
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import confirmation, tokens
from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.second_factor import has_second_factor
from restapi.bodies import RequestBody
from restapi.schema import operation
from restapi.views import ApiView


class Credentials(RequestBody):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)


class RefreshToken(RequestBody):
    refresh = serializers.CharField(max_length=2048, help_text="Of an earlier answer.")


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="The JSON Web Token to send as bearer.")
    refresh = serializers.CharField(help_text="Gets the next pair; it is no bearer.")
    tokenType = serializers.ChoiceField(choices=["Bearer"])  # noqa: N815 - the API speaks camelCase
    expiresIn = serializers.IntegerField(help_text="Seconds until `access` expires.")  # noqa: N815


def _ignore(request: Request) -> None:
    pass


class SecondFactorRequired(PermissionDenied):
    """A password alone is no token for who has a second factor."""

    default_code = "second_factor_required"
    default_detail = "This account has a second factor: sign in on the page."


class _TokenView(ApiView):
    permission_classes = (AllowAny,)
    authentication_classes = ()

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"  # without authentication classes DRF turns a 401 into a 403


class TokenView(_TokenView):
    @operation(
        "token_create",
        request=Credentials,
        response=TokenPairSerializer,
        problems=("authentication_failed", "second_factor_required", "too_many_failures"),
    )
    def post(self, request: Request) -> Response:
        """Sign in.

        Exchanges an email address and a password for an access and a refresh token.
        """
        body = Credentials.read(request)
        user = authenticate(request._request, username=body["email"], password=body["password"])
        if not isinstance(user, User) or confirmation.is_pending(user):
            raise AuthenticationFailed("Email or password is wrong.")
        if has_second_factor(user):
            raise SecondFactorRequired
        try:
            refresh = tokens.issue_refresh(user)
        except tokens.NoSubject as error:
            raise AuthenticationFailed(error.detail) from None
        # Resets the count of wrong passwords, as signing in on a page does.
        user_logged_in.send(User, request=request._request, user=user)
        return _pair(user, refresh)


class TokenRefreshView(_TokenView):
    # Called before a 401; may raise another exception instead.
    on_failure: Callable[[Request], None] = staticmethod(_ignore)

    @operation(
        "token_refresh",
        request=RefreshToken,
        response=TokenPairSerializer,
        problems=("authentication_failed",),
    )
    def post(self, request: Request) -> Response:
        """Refresh a token.

        Exchanges a refresh token for a new pair. It can be used once: a second use is refused and
        ends the sign-in, whose newer tokens can't be refreshed either.
        """
        try:
            user, refresh = tokens.use_refresh(RefreshToken.read(request)["refresh"])
        except tokens.InvalidToken as error:
            self.on_failure(request)
            raise AuthenticationFailed(str(error)) from None
        return _pair(user, refresh)


def _pair(user: User, refresh: str) -> Response:
    return Response(
        {
            "access": tokens.issue_access(user),
            "refresh": refresh,
            "tokenType": "Bearer",
            "expiresIn": int(tokens.ACCESS_LIFETIME.total_seconds()),
        },
        headers={"Cache-Control": "no-store"},
    )
