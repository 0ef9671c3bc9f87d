"""The pages of a customer's conversations, with their payments."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from rest_framework.exceptions import Throttled

from apikeys import throttling
from billing.models import Order
from conversations import views
from conversations.models import Conversation
from payflow.conversations import ConversationForm, count_start
from payflow.pages import statuses

# Who starts two conversations of one title within it has clicked twice.
SENT_TWICE = timedelta(seconds=10)


class HomeView(views.HomeView):
    form_class = ConversationForm

    def form_valid(self, form: views.ConversationForm) -> HttpResponse:
        if self._was_just_started(form.cleaned_data["title"]):
            return redirect(self.success_url)
        try:
            count_start(self.request.user.pk or 0)
        except Throttled:
            form.add_error("title", _("Too many conversations. Try again in a minute."))
            response = self.render_to_response(self.get_context_data(form=form), status=429)
            response.headers["Retry-After"] = str(math.ceil(throttling.rest_of_window()))
            return response
        return super().form_valid(form)

    def _was_just_started(self, title: str) -> bool:
        """Whether the form was sent twice, as by a double click."""
        own = Conversation.objects.owned_by(self.request.user.pk)
        return own.filter(title=title, created_at__gt=timezone.now() - SENT_TWICE).exists()

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        context = super().get_context_data(**context)
        listed = list(context["conversations"])
        orders = defaultdict(list)
        for order in Order.objects.filter(conversation__in=listed).order_by("-id"):
            orders[order.conversation_id].append(order)
        return context | {
            "rows": [(each, statuses.of_conversation(each, orders[each.pk])) for each in listed]
        }


@login_required
@never_cache
@require_safe
def conversation(request: HttpRequest, conversation_id: int) -> HttpResponse:
    """`/conversations/{id}`: its status, what it costs, and its payments."""
    own = Conversation.objects.owned_by(request.user.pk)
    found = get_object_or_404(own, pk=conversation_id)
    orders = list(Order.objects.filter(conversation=found).order_by("-id"))
    context = {
        "conversation": found,
        "orders": orders,
        "status": statuses.of_conversation(found, orders),
        "undone": "undone" in request.GET,
    }
    return render(request, "conversation.html", context)
