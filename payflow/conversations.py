"""Conversations as customers start them: a title holds no key, and an account has a limit.

The rules are of `apikeys` and `billing`, and apps don't import each other.
"""

from __future__ import annotations

import math

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema_serializer
from rest_framework.exceptions import Throttled
from rest_framework.serializers import BaseSerializer

from apikeys import throttling
from apikeys.validators import validate_no_secret
from billing.models import Order
from conversations import api, views
from conversations.models import Conversation


def count_start(user_id: int) -> None:
    """Count a conversation that an account starts. Raises Throttled."""
    throttling.count_for_account(
        "conversations",
        user_id,
        settings.CONVERSATIONS_PER_MINUTE,
        has_paid=lambda: Order.objects.has_paid(user_id),
    )


@extend_schema_serializer(component_name="Conversation")
class ConversationSerializer(api.ConversationSerializer):
    class Meta(api.ConversationSerializer.Meta):
        extra_kwargs = {"title": {"validators": [validate_no_secret]}}  # noqa: RUF012 - as in DRF


class ConversationViewSet(api.ConversationViewSet):
    serializer_class = ConversationSerializer

    def perform_create(self, serializer: BaseSerializer[Conversation]) -> None:
        count_start(self.request.user.pk or 0)
        super().perform_create(serializer)


class ConversationForm(views.ConversationForm):
    def clean_title(self) -> str:
        title = str(self.cleaned_data["title"])
        validate_no_secret(title)
        return title


class HomeView(views.HomeView):
    form_class = ConversationForm

    def form_valid(self, form: views.ConversationForm) -> HttpResponse:
        try:
            count_start(self.request.user.pk or 0)
        except Throttled:
            form.add_error("title", "Too many conversations. Try again in a minute.")
            response = self.render_to_response(self.get_context_data(form=form), status=429)
            response.headers["Retry-After"] = str(math.ceil(throttling.rest_of_window()))
            return response
        return super().form_valid(form)
