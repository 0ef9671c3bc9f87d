"""A caller's own API keys: list, create, reveal once, rename, rotate, delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import errors, services
from apikeys.cache.store import CachedKey
from apikeys.models import DISPUTED, ApiKey, KeyState, StoppedBy
from apikeys.validators import MAX_NAME_LENGTH, NAME_PATTERN, validate_name
from restapi.bodies import RequestBody
from restapi.exceptions import Refused
from restapi.lists import Rows
from restapi.renderers import json_response
from restapi.schema import operation
from restapi.views import ApiView

SECRET_ACTIONS = ("create", "reveal", "rotate")


class DenyApiKeyAuth(BasePermission):
    """Only people manage keys: a leaked key must not be able to create its own successor."""

    message = "An API key cannot create, reveal or rotate keys: sign in, or use a JWT."
    code = "api_key_not_allowed"
    # The security scheme that payflow.openapi leaves out.
    refused_scheme = "apiKey"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return not isinstance(request.auth, CachedKey)


class ApiKeySerializer(serializers.Serializer[Any]):
    """Describes what `key_answer` makes of a key, and what `ROWS` reads."""

    id = serializers.IntegerField()
    prefix = serializers.CharField(help_text="The first 20 characters, to recognise the key by.")
    name = serializers.CharField()
    tier = serializers.CharField(help_text="What was paid for; empty if unknown.")
    state = serializers.ChoiceField(
        choices=KeyState.choices, help_text="`active` and `rotated` keys work."
    )
    stoppedBy = serializers.ChoiceField(  # noqa: N815 - the API speaks camelCase
        choices=StoppedBy.choices,
        allow_null=True,
        help_text="Of a suspended key: `payment`, by a dispute, or `support`.",
    )
    stoppedReason = serializers.CharField(  # noqa: N815
        allow_null=True, help_text="Of a suspended key, for people; null without one."
    )
    createdAt = serializers.DateTimeField()  # noqa: N815 - the API speaks camelCase
    lastUsedAt = serializers.DateTimeField(  # noqa: N815
        allow_null=True, help_text="To the minute; null before the first use."
    )
    expiresAt = serializers.DateTimeField(  # noqa: N815
        allow_null=True, help_text="Null: the key does not expire."
    )
    revealed = serializers.BooleanField(help_text="False while the secret can still be revealed.")


@extend_schema_serializer(many=False)
class ApiKeyListSerializer(serializers.Serializer[Any]):
    keys = ApiKeySerializer(many=True)


class RevealedKeySerializer(ApiKeySerializer):
    key = serializers.CharField(help_text="The API key. It is never shown again.")


@extend_schema_field(
    {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": NAME_PATTERN}
)
class NameField(serializers.CharField):
    def __init__(self) -> None:
        super().__init__(max_length=MAX_NAME_LENGTH, validators=[validate_name])


class KeyName(RequestBody):
    name = NameField()


class NewKey(KeyName):
    expiresAt = serializers.DateTimeField(  # noqa: N815
        required=False, allow_null=True, help_text="In the future. Null or left out: never."
    )

    def validate_expiresAt(self, value: Any) -> Any:  # noqa: N802 - named after its field
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This is in the past.", "past")
        return value


class Rotation(RequestBody):
    graceSeconds = serializers.IntegerField(  # noqa: N815
        min_value=0,
        max_value=int(services.MAX_GRACE.total_seconds()),
        default=int(services.DEFAULT_GRACE.total_seconds()),
        help_text="How long the old key keeps working.",
    )


class DeletedSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()


# `ApiKeyQuerySet.listed`, `ApiKey.state` and `ApiKey.stopped` as SQL; a test compares them.
_LISTED = """
    SELECT k.*, g.tier, g.stopped_at, g.stopped_reason,
        CASE
            WHEN k.expires_at <= %(now)s THEN 'expired'
            WHEN COALESCE(k.suspended_at, g.suspended_at, g.stopped_at) IS NOT NULL
                THEN 'suspended'
            WHEN k.rotated_at IS NOT NULL THEN 'rotated'
            ELSE 'active'
        END AS state
    FROM api_keys AS k JOIN grants AS g ON g.id = k.grant_id
    WHERE k.revoked_at IS NULL AND g.revoked_at IS NULL
    AND (k.rotated_at IS NULL OR k.expires_at IS NULL OR k.expires_at > %(now)s)
"""
_STOPPED_BY = """CASE
    WHEN state <> 'suspended' THEN NULL
    WHEN COALESCE(stopped_at, suspended_at) IS NULL THEN 'payment'
    ELSE 'support' END"""
_STOPPED_REASON = f"""CASE
    WHEN state <> 'suspended' THEN NULL
    WHEN stopped_at IS NOT NULL THEN NULLIF(stopped_reason, '')
    WHEN suspended_at IS NULL THEN '{DISPUTED}' END"""
ROWS = Rows(
    "keys",
    table=f"({_LISTED}) AS listed",
    columns={
        "id": "id",
        "prefix": "key_prefix",
        "name": "name",
        "tier": "tier",
        "state": "state",
        "stoppedBy": _STOPPED_BY,
        "stoppedReason": _STOPPED_REASON,
        "createdAt": "created_at",
        "lastUsedAt": "last_used_at",
        "expiresAt": "expires_at",
        "revealed": 'revealed_at IS NOT NULL AS "revealed [bool]"',  # SQLite's way to say the type
    },
)


def key_answer(key: ApiKey) -> dict[str, Any]:
    """A key as the API sends it."""
    by, reason = key.stopped or (None, "")
    return {
        "id": key.pk,
        "prefix": key.key_prefix,
        "name": key.name,
        "tier": key.grant.tier,
        "state": key.state.value,
        "stoppedBy": by,
        "stoppedReason": reason or None,
        "createdAt": key.created_at,
        "lastUsedAt": key.last_used_at,
        "expiresAt": key.expires_at,
        "revealed": key.is_revealed,
    }


class ApiKeyViewSet(ApiView, viewsets.ViewSet):
    """`payflow.api` adds the permissions."""

    lookup_value_converter = "int"
    requested_at: datetime

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.requested_at = timezone.now()  # before the first query
        super().initial(request, *args, **kwargs)

    @cached_property
    def own_keys(self) -> list[dict[str, Any]]:
        """The caller's keys, newest first."""
        return ROWS.all(self.request.user.pk)

    def get_permissions(self) -> list[Any]:
        permissions = super().get_permissions()
        return [*permissions, DenyApiKeyAuth()] if self.action in SECRET_ACTIONS else [*permissions]

    @operation("api_keys_list", response=ApiKeyListSerializer)
    def list(self, request: Request) -> HttpResponse:
        """List API keys.

        All of the caller's, newest first, without deleted ones.
        """
        return json_response({"keys": self.own_keys})

    @operation("api_keys_retrieve", response=ApiKeySerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """Read an API key.

        Its secret is not part of it.
        """
        return Response(ROWS.one(request.user.pk, pk))

    @operation(
        "api_keys_create",
        request=NewKey,
        response=RevealedKeySerializer,
        status=201,
        problems=(
            "payment_required",
            "idempotency_key_reused",
            "key_not_usable",
            "already_created",
            "too_many_keys",
        ),
        idempotent=True,
    )
    @sensitive_variables("secret")
    def create(self, request: Request) -> Response:
        """Create an API key.

        The answer holds the key, the only time it is shown. A repeat with the same
        `Idempotency-Key` within a minute gets the same answer.
        """
        body = NewKey.read(request)
        with _service_errors():
            key, secret = services.create(
                user_id=request.user.pk or 0,
                name=body["name"],
                expires_at=body.get("expiresAt"),
                token=_token(request),
            )
        return _with_secret(key, secret, status.HTTP_201_CREATED)

    @operation("api_keys_rename", request=KeyName, response=ApiKeySerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Rename an API key.

        Nothing else of a key can be changed.
        """
        body = KeyName.read(request)
        with _service_errors():
            key = services.rename(user_id=request.user.pk, key_id=pk, name=body["name"])
        return Response(key_answer(key))

    @operation("api_keys_delete", response=DeletedSerializer, problems=("revealed_meanwhile",))
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete an API key.

        It is refused from then on, for good.
        """
        with _service_errors():
            services.delete(user_id=request.user.pk, key_id=pk, requested_at=self.requested_at)
        return Response({"success": True})

    @operation(
        "api_keys_reveal",
        response=RevealedKeySerializer,
        problems=("already_revealed", "already_rotated", "key_not_usable"),
        idempotent=True,
    )
    @action(detail=True, methods=["post"])
    @sensitive_variables("secret")
    def reveal(self, request: Request, pk: int) -> Response:
        """Reveal an API key.

        A payment makes a key whose secret nobody has seen. This makes the secret and shows it, the
        only time. A repeat with the same `Idempotency-Key` within a minute gets the same answer.
        """
        with _service_errors():
            key, secret = services.reveal(user_id=request.user.pk, key_id=pk, token=_token(request))
        return _with_secret(key, secret, status.HTTP_200_OK)

    @operation(
        "api_keys_rotate",
        request=Rotation,
        response=RevealedKeySerializer,
        status=201,
        problems=(
            "idempotency_key_reused",
            "key_not_usable",
            "already_created",
            "already_rotated",
            "too_many_keys",
        ),
        idempotent=True,
    )
    @action(detail=True, methods=["post"])
    @sensitive_variables("secret")
    def rotate(self, request: Request, pk: int) -> Response:
        """Rotate an API key.

        Creates a successor and shows it once; the old key works until its grace period ends. A
        repeat with the same `Idempotency-Key` within a minute gets the same answer.
        """
        grace = timedelta(seconds=Rotation.read(request)["graceSeconds"])
        with _service_errors():
            key, secret = services.rotate(
                user_id=request.user.pk, key_id=pk, grace=grace, token=_token(request)
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
    except errors.ApiKeyError as error:
        raise Refused(error.code, str(error.detail)) from None


@sensitive_variables("secret", "body")
def _with_secret(key: ApiKey, secret: str, status_code: int) -> Response:
    body = {**key_answer(key), "key": secret}
    headers = {"Cache-Control": "no-store"}
    if status_code == status.HTTP_201_CREATED:
        headers["Location"] = reverse("apikey-detail", args=[key.pk])
    return Response(body, status=status_code, headers=headers)
