"""The conversations page of a signed-in customer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.views.generic import CreateView

from conversations.models import Conversation

MAX_LISTED = 100  # the API lists the rest


class ConversationForm(forms.ModelForm[Conversation]):
    class Meta:
        model = Conversation
        fields = ("title",)


class HomeView(LoginRequiredMixin, CreateView[Conversation, ConversationForm]):
    """`/`: the list of conversations, and a form to start another."""

    template_name = "home.html"
    form_class = ConversationForm
    success_url = reverse_lazy("home")

    def form_valid(self, form: ConversationForm) -> HttpResponse:
        form.instance.user_id = self.request.user.pk or 0
        return super().form_valid(form)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        own = Conversation.objects.owned_by(self.request.user.pk)
        return super().get_context_data(conversations=own.order_by("-id")[:MAX_LISTED], **context)
