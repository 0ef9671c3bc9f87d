"""The base of the views under `/api/service/`, which a service token alone opens."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from accounts import service_tokens
from accounts.models import ServiceToken
from apikeys import throttling
from apikeys.authentication import bearer_token
from apikeys.last_used import touch_last_used
from payflow.http.access_log import SERVICE
from restapi.views import ApiView


class ServiceTokenAuthentication(BaseAuthentication):
    """The caller is no user: `request.auth` is the token's row."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ServiceToken] | None:
        """None without a bearer token. Raises AuthenticationFailed, Throttled."""
        text = bearer_token(request)
        if text is None:
            return None
        token = service_tokens.find(text)
        if token is None:
            throttling.count_failure(request)
            raise AuthenticationFailed("The service token is not valid.")
        request.META[SERVICE] = token.name
        touch_last_used(token, table="service_tokens")
        return AnonymousUser(), token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IsService(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, ServiceToken)


class ServiceThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: APIView) -> bool:
        throttling.count_service(request, request.auth.pk)
        return True


class ServiceView(ApiView):
    authentication_classes = (ServiceTokenAuthentication,)
    permission_classes = (IsService,)
    throttle_classes = (ServiceThrottle,)
