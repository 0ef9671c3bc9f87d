"""`/api/auth/token`: JWTs for an email address and a password, or for a refresh token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import authenticate, user_logged_in
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tokens
from accounts.models import User
from accounts.second_factor import has_second_factor


class CredentialsSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=128, trim_whitespace=False, write_only=True)


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=2048, write_only=True)


class TokenSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()
    tokenType = serializers.CharField()  # noqa: N815 - the API speaks camelCase
    expiresIn = serializers.IntegerField(help_text="Seconds until `access` expires.")  # noqa: N815


def _ignore(request: Request) -> None:
    pass


class SecondFactorRequired(PermissionDenied):
    """A password alone is no token for who has a second factor."""

    default_code = "second_factor_required"
    default_detail = "This account has a second factor: sign in on the page."


class _TokenView(APIView):
    permission_classes = (AllowAny,)
    authentication_classes = ()

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"  # without authentication classes DRF turns a 401 into a 403


class TokenView(_TokenView):
    @extend_schema(
        request=CredentialsSerializer, responses=TokenSerializer, operation_id="token_create"
    )
    def post(self, request: Request) -> Response:
        """Exchange an email address and a password for an access and a refresh token."""
        body = CredentialsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = authenticate(
            request._request,
            username=body.validated_data["email"],
            password=body.validated_data["password"],
        )
        if not isinstance(user, User):
            raise AuthenticationFailed("Email or password is wrong.")
        if has_second_factor(user):
            raise SecondFactorRequired
        # Resets the count of wrong passwords, as signing in on a page does.
        user_logged_in.send(User, request=request._request, user=user)
        return _pair(user, tokens.issue_refresh(user))


class TokenRefreshView(_TokenView):
    # Called before a 401; may raise another exception instead.
    on_failure: Callable[[Request], None] = staticmethod(_ignore)

    @extend_schema(
        request=RefreshSerializer, responses=TokenSerializer, operation_id="token_refresh"
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair. It can be used once.

        A second use is refused and ends the sign-in: its newer tokens can't be refreshed either.
        """
        body = RefreshSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            user, refresh = tokens.use_refresh(body.validated_data["refresh"])
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
