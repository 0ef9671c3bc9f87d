"""A caller's own conversations."""

from __future__ import annotations

from typing import Any

from rest_framework import mixins, serializers, viewsets
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response

from conversations.models import Conversation, ConversationQuerySet


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    paymentStatus = serializers.ChoiceField(  # noqa: N815 - the API speaks camelCase
        choices=Conversation._meta.get_field("payment_status").choices or [],
        source="payment_status",
        read_only=True,
    )
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)  # noqa: N815
    updatedAt = serializers.DateTimeField(source="updated_at", read_only=True)  # noqa: N815

    class Meta:
        model = Conversation
        fields = ("id", "title", "paymentStatus", "createdAt", "updatedAt")


class ConversationPagination(CursorPagination):
    """Newest first: `{conversations: [...], next: URL or null}`."""

    ordering = "-id"
    page_size = 50

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"conversations": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties = {
            "conversations": schema,
            "next": {"type": "string", "format": "uri", "nullable": True},
        }
        return {"type": "object", "required": list(properties), "properties": properties}


class ConversationViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Conversation],
):
    queryset = Conversation.objects.all()
    serializer_class = ConversationSerializer
    pagination_class = ConversationPagination
    lookup_value_regex = "[0-9]{1,19}"

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.owned_by(self.request.user.pk)

    def perform_create(self, serializer: serializers.BaseSerializer[Conversation]) -> None:
        serializer.save(user=self.request.user)
