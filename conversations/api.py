"""A caller's own conversations."""

from __future__ import annotations

from rest_framework import mixins, serializers, viewsets

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


class ConversationViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Conversation],
):
    queryset = Conversation.objects.all()
    serializer_class = ConversationSerializer
    lookup_value_regex = "[0-9]{1,19}"

    def get_queryset(self) -> ConversationQuerySet:
        return Conversation.objects.owned_by(self.request.user.pk)

    def perform_create(self, serializer: serializers.BaseSerializer[Conversation]) -> None:
        serializer.save(user=self.request.user)
