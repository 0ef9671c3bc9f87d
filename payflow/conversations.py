"""Conversations as customers start them: a title holds no key.

The rule is of `apikeys`, and apps don't import each other.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_serializer

from apikeys.validators import validate_no_secret
from conversations import api, views


@extend_schema_serializer(component_name="Conversation")
class ConversationSerializer(api.ConversationSerializer):
    class Meta(api.ConversationSerializer.Meta):
        extra_kwargs = {"title": {"validators": [validate_no_secret]}}  # noqa: RUF012 - as in DRF


class ConversationViewSet(api.ConversationViewSet):
    serializer_class = ConversationSerializer


class ConversationForm(views.ConversationForm):
    def clean_title(self) -> str:
        title = str(self.cleaned_data["title"])
        validate_no_secret(title)
        return title


class HomeView(views.HomeView):
    form_class = ConversationForm
