"""A caller's own conversations."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers, viewsets
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.models import (
    Conversation,
    DifferentRequest,
    ExternalIdTaken,
    PaymentStatus,
)
from restapi.bodies import RequestBody
from restapi.exceptions import Refused
from restapi.fields import ExternalIdField, MetadataField
from restapi.lists import Filters, Page, Rows
from restapi.schema import operation
from restapi.views import ApiView


class NewConversation(RequestBody):
    title = serializers.CharField(max_length=200)
    externalId = ExternalIdField(  # noqa: N815 - the API speaks camelCase
        required=False,
        help_text="Your id of the conversation: unique among the user's, returned in every answer.",
    )
    METADATA = "Texts of yours, returned in every answer; 50 at most."
    metadata = MetadataField(required=False, help_text=METADATA)


class ConversationSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    paymentStatus = serializers.ChoiceField(  # noqa: N815 - the API speaks camelCase
        choices=PaymentStatus.choices, help_text="Follow a payment by it."
    )
    externalId = serializers.CharField(allow_null=True)  # noqa: N815
    metadata = serializers.DictField(child=serializers.CharField())
    createdAt = serializers.DateTimeField()  # noqa: N815
    updatedAt = serializers.DateTimeField()  # noqa: N815


@extend_schema_serializer(many=False)
class ConversationListSerializer(Page):
    conversations = ConversationSerializer(many=True)


class ConversationFilters(Filters):
    paymentStatus = serializers.ChoiceField(  # noqa: N815
        choices=PaymentStatus.choices, source="payment_status = %(paymentStatus)s", required=False
    )
    externalId = ExternalIdField(source="external_id = %(externalId)s", required=False)  # noqa: N815


ROWS = Rows(
    "conversations",
    table="conversations",
    columns={
        "id": "id",
        "title": "title",
        "paymentStatus": "payment_status",
        "externalId": "external_id",
        "metadata": "metadata",
        "createdAt": "created_at",
        "updatedAt": "updated_at",
    },
    filters=ConversationFilters,
    json=("metadata",),
)


class ConversationViewSet(ApiView, viewsets.ViewSet):
    rows = ROWS
    new_conversation = NewConversation
    lookup_value_converter = "int"

    @operation(
        "conversations_list", response=ConversationListSerializer, filters=ConversationFilters
    )
    def list(self, request: Request) -> HttpResponse:
        """List conversations.

        The caller's own, newest first, in pages. Filters combine.
        """
        return ROWS.page(request)

    @operation("conversations_retrieve", response=ConversationSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """Read a conversation.

        Its `paymentStatus` is how a client follows a payment.
        """
        return Response(ROWS.one(request.user.pk, pk))

    @operation(
        "conversations_create",
        request=NewConversation,
        response=ConversationSerializer,
        status=201,
        problems=("idempotency_key_reused",),
        idempotent=True,
    )
    def create(self, request: Request) -> Response:
        """Start a conversation.

        It is unpaid: create a payment link for it next. A repeat with the same `Idempotency-Key`
        is answered with the conversation that the first request made, as it is now.
        """
        body = self.new_conversation.read(request)
        self.count_start(request.user.pk or 0)
        try:
            conversation = Conversation.objects.create_once(
                user_id=request.user.pk or 0,
                title=body["title"],
                external_id=body.get("externalId"),
                metadata=body.get("metadata"),
                token=request.headers.get("Idempotency-Key"),
            )
        except DifferentRequest as error:
            raise Refused(error.code, error.detail) from None
        except ExternalIdTaken:
            fault = ErrorDetail("You have a conversation with this externalId.", "unique")
            raise serializers.ValidationError({"externalId": [fault]}) from None
        location = reverse("conversation-detail", args=[conversation.pk])
        answer = ROWS.one(request.user.pk, conversation.pk)
        return Response(answer, status=201, headers={"Location": location})

    def count_start(self, user_id: int) -> None:
        """Called before a conversation is created; may raise an exception."""
