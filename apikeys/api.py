"""A caller's own API keys: list, reveal once, delete."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import services
from apikeys.models import ApiKey, ApiKeyQuerySet


class AlreadyRevealed(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "already_revealed"
    default_detail = "This key was shown before. It cannot be shown again."


class NotByApiKey(BasePermission):
    """Keys are managed by people: a leaked key must not be able to make itself a successor."""

    message = "An API key cannot do this: sign in, or use a JWT."
    code = "api_key_not_allowed"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return not isinstance(request.auth, ApiKey)


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    prefix = serializers.CharField(source="key_prefix")
    createdAt = serializers.DateTimeField(source="created_at")  # noqa: N815 - camelCase API
    lastUsedAt = serializers.DateTimeField(source="last_used_at", allow_null=True)  # noqa: N815
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True)  # noqa: N815
    revealed = serializers.BooleanField(source="is_revealed")

    class Meta:
        model = ApiKey
        fields = ("id", "prefix", "name", "createdAt", "lastUsedAt", "expiresAt", "revealed")
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


class DeletedSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class ApiKeyViewSet(viewsets.GenericViewSet[ApiKey]):
    """`payflow.api` adds who may come here: holders of a completed payment."""

    queryset = ApiKey.objects.all()
    serializer_class = ApiKeySerializer
    lookup_value_regex = "[0-9]{1,19}"

    def get_queryset(self) -> ApiKeyQuerySet:
        return ApiKey.objects.owned_by(self.request.user.pk).not_revoked()

    def get_permissions(self) -> list[Any]:
        permissions = super().get_permissions()
        return [*permissions, NotByApiKey()] if self.action == "reveal" else list(permissions)

    @extend_schema(responses=ApiKeyListSerializer, operation_id="api_keys_list")
    def list(self, request: Request) -> Response:
        """The caller's keys, newest first; deleted ones are left out."""
        keys = self.get_queryset().order_by("-id")
        return Response({"keys": ApiKeySerializer(keys, many=True).data})

    @extend_schema(responses={200: DeletedSerializer})
    def destroy(self, request: Request, pk: str) -> Response:
        """Revoke a key for good."""
        try:
            services.revoke(
                user_id=request.user.pk, key_id=int(pk), reason=services.REVOKED_BY_OWNER
            )
        except services.KeyNotFound:
            raise NotFound from None
        return Response({"success": True})

    @extend_schema(request=None, responses={200: RevealedKeySerializer})
    @action(detail=True, methods=["post"])
    def reveal(self, request: Request, pk: str) -> Response:
        """Show the key, the only time it is ever shown."""
        try:
            key, secret = services.reveal(user_id=request.user.pk, key_id=int(pk))
        except services.KeyNotFound:
            raise NotFound from None
        except services.AlreadyRevealed:
            raise AlreadyRevealed from None
        body = {**ApiKeySerializer(key).data, "key": secret}
        return Response(body, headers={"Cache-Control": "no-store"})
