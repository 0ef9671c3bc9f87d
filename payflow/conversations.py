"""Conversations as customers start them: a title holds no key, and an account has a limit.

The rules are of `apikeys` and `billing`, and apps don't import each other.
"""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from rest_framework import serializers

from apikeys import throttling
from apikeys.validators import validate_no_secret
from billing.models import Order
from conversations import api, views
from restapi.fields import MetadataField


def count_start(user_id: int) -> None:
    """Count a conversation that an account starts. Raises Throttled."""
    throttling.count_for_account(
        "conversations",
        user_id,
        settings.CONVERSATIONS_PER_MINUTE,
        has_paid=lambda: Order.objects.has_paid(user_id),
    )


def _validate_no_secret(text: str) -> None:
    try:
        validate_no_secret(text)
    except ValidationError as error:  # Django's: DRF maps those of validators alone
        raise serializers.ValidationError(error.messages, error.code) from None


class NewConversation(api.NewConversation):
    title = serializers.CharField(max_length=200, validators=[validate_no_secret])
    metadata = MetadataField(
        _validate_no_secret, required=False, help_text=api.NewConversation.METADATA
    )


class ConversationViewSet(api.ConversationViewSet):
    new_conversation = NewConversation

    def count_start(self, user_id: int) -> None:
        count_start(user_id)


class ConversationForm(views.ConversationForm):
    def clean_title(self) -> str:
        title = str(self.cleaned_data["title"])
        validate_no_secret(title)
        return title
