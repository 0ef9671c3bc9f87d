"""A caller's own API keys: list, create, reveal once, rename, rotate, delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import errors, services
from apikeys.cache.store import CachedKey
from apikeys.models import ApiKey, ApiKeyQuerySet, KeyState
from apikeys.validators import MAX_NAME_LENGTH, validate_name

SECRET_ACTIONS = ("create", "reveal", "rotate")


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    location=OpenApiParameter.HEADER,
    description="A repeat with the same key and body within a minute is answered with the same "
    "secret. 1 to 255 visible ASCII characters.",
)


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class DenyApiKeyAuth(BasePermission):
    """Only people manage keys: a leaked key must not be able to create its own successor."""

    message = "An API key cannot create, reveal or rotate keys: sign in, or use a JWT."
    code = "api_key_not_allowed"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return not isinstance(request.auth, CachedKey)


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    prefix = serializers.CharField(source="key_prefix")
    tier = serializers.CharField(source="grant.tier")
    state = serializers.ChoiceField(choices=KeyState.choices)
    createdAt = serializers.DateTimeField(source="created_at")  # noqa: N815 - camelCase API
    lastUsedAt = serializers.DateTimeField(source="last_used_at", allow_null=True)  # noqa: N815
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True)  # noqa: N815
    revealed = serializers.BooleanField(
        source="is_revealed", help_text="False while the secret can still be revealed."
    )

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "prefix",
            "name",
            "tier",
            "state",
            "createdAt",
            "lastUsedAt",
            "expiresAt",
            "revealed",
        )
        read_only_fields = fields


@extend_schema_serializer(many=False)
class ApiKeyListSerializer(serializers.Serializer[Any]):
    keys = ApiKeySerializer(many=True)


class RevealedKeySerializer(ApiKeySerializer):
    key = serializers.CharField(help_text="The API key. It is never shown again.")

    class Meta:
        model = ApiKey
        fields = (*ApiKeySerializer.Meta.fields, "key")
        read_only_fields = fields


class KeyNameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=MAX_NAME_LENGTH, validators=[validate_name])


class NewKeySerializer(KeyNameSerializer):
    expiresAt = serializers.DateTimeField(required=False, allow_null=True)  # noqa: N815

    def validate_expiresAt(self, value: Any) -> Any:  # noqa: N802 - named after its field
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This is in the past.", "past")
        return value


class RotationSerializer(serializers.Serializer[Any]):
    graceSeconds = serializers.IntegerField(  # noqa: N815
        min_value=0,
        max_value=int(services.MAX_GRACE.total_seconds()),
        default=int(services.DEFAULT_GRACE.total_seconds()),
        help_text="How long the old key keeps working.",
    )


class DeletedSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class ApiKeyViewSet(viewsets.GenericViewSet[ApiKey]):
    """`payflow.api` adds the permissions."""

    queryset = ApiKey.objects.all()
    serializer_class = ApiKeySerializer
    lookup_value_regex = "[0-9]{1,19}"
    requested_at: datetime

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.requested_at = timezone.now()  # before the first query
        super().initial(request, *args, **kwargs)

    def get_queryset(self) -> ApiKeyQuerySet:
        return ApiKey.objects.owned_by(self.request.user.pk).listed(timezone.now())

    def get_permissions(self) -> list[Any]:
        permissions = super().get_permissions()
        return [*permissions, DenyApiKeyAuth()] if self.action in SECRET_ACTIONS else [*permissions]

    @extend_schema(responses=ApiKeyListSerializer, operation_id="api_keys_list")
    def list(self, request: Request) -> Response:
        """The caller's keys, newest first, without deleted ones."""
        keys = self.get_queryset().order_by("-id")
        return Response({"keys": ApiKeySerializer(keys, many=True).data})

    @extend_schema(
        request=NewKeySerializer,
        responses={201: RevealedKeySerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    @sensitive_variables("secret")
    def create(self, request: Request) -> Response:
        """Create a key and return it, the only time it is shown."""
        body = NewKeySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with _service_errors():
            key, secret = services.create(
                user_id=request.user.pk or 0,
                name=body.validated_data["name"],
                expires_at=body.validated_data.get("expiresAt"),
                token=_token(request),
            )
        return _with_secret(key, secret, status.HTTP_201_CREATED)

    @extend_schema(request=KeyNameSerializer, responses={200: ApiKeySerializer})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a key."""
        body = KeyNameSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with _service_errors():
            key = services.rename(
                user_id=request.user.pk, key_id=int(pk), name=body.validated_data["name"]
            )
        return Response(ApiKeySerializer(key).data)

    @extend_schema(responses={200: DeletedSerializer})
    def destroy(self, request: Request, pk: str) -> Response:
        """Revoke a key permanently."""
        with _service_errors():
            services.delete(user_id=request.user.pk, key_id=int(pk), requested_at=self.requested_at)
        return Response({"success": True})

    @extend_schema(
        request=None, responses={200: RevealedKeySerializer}, parameters=[IDEMPOTENCY_KEY]
    )
    @action(detail=True, methods=["post"])
    @sensitive_variables("secret")
    def reveal(self, request: Request, pk: str) -> Response:
        """Return the key, the only time it is shown."""
        with _service_errors():
            key, secret = services.reveal(
                user_id=request.user.pk, key_id=int(pk), token=_token(request)
            )
        return _with_secret(key, secret, status.HTTP_200_OK)

    @extend_schema(
        request=RotationSerializer,
        responses={201: RevealedKeySerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    @action(detail=True, methods=["post"])
    @sensitive_variables("secret")
    def rotate(self, request: Request, pk: str) -> Response:
        """Create a successor and return it once; the old key works until its grace period ends."""
        body = RotationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        grace = timedelta(seconds=body.validated_data["graceSeconds"])
        with _service_errors():
            key, secret = services.rotate(
                user_id=request.user.pk, key_id=int(pk), grace=grace, token=_token(request)
            )
        return _with_secret(key, secret, status.HTTP_201_CREATED)


def _token(request: Request) -> str | None:
    """The request's `Idempotency-Key`, whose form payflow.http.middleware has checked."""
    token: str | None = request.headers.get("Idempotency-Key")
    return token


@contextmanager
def _service_errors() -> Iterator[None]:
    """Map errors of the services to API exceptions."""
    try:
        yield
    except errors.KeyNotFound:
        raise NotFound from None
    except errors.NotEntitled as error:
        raise PermissionDenied(error.detail, error.code) from None
    except errors.ApiKeyError as error:
        raise Conflict(error.detail, error.code) from None


@sensitive_variables("secret", "body")
def _with_secret(key: ApiKey, secret: str, status_code: int) -> Response:
    body = {**ApiKeySerializer(key).data, "key": secret}
    return Response(body, status=status_code, headers={"Cache-Control": "no-store"})
