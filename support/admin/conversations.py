"""Conversations: their payment status, orders and timeline."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.models import Order
from conversations.models import Conversation
from support import timeline
from support.actions import registry
from support.admin.base import Columns, SupportModelAdmin
from support.models import SupportAction
from support.templatetags.support_format import badge


@admin.register(Conversation)
class ConversationAdmin(SupportModelAdmin[Conversation]):
    list_display = ("number", "title", "customer", "shown_status", "created_at")
    list_select_related = ("user",)
    page_template = "support/conversation.html"
    page_related = ("user",)
    csv_columns: ClassVar[Columns] = (
        ("conversation", lambda conversation: conversation.pk),
        ("user", lambda conversation: conversation.user.email),
        ("title", lambda conversation: conversation.title),
        ("payment_status", lambda conversation: conversation.payment_status),
        ("session", lambda conversation: conversation.stripe_session_id),
        ("created_at", lambda conversation: conversation.created_at.isoformat()),
    )

    @admin.display(description="conversation")
    def number(self, conversation: Conversation) -> str:
        return f"Conversation {conversation.pk}"

    @admin.display(description="customer")
    def customer(self, conversation: Conversation) -> str:
        return str(conversation.user)

    @admin.display(description="payment")
    def shown_status(self, conversation: Conversation) -> SafeString:
        return badge(conversation.payment_status)

    def page_context(self, request: HttpRequest, subject: Conversation) -> dict[str, Any]:
        orders = Order.objects.filter(conversation=subject)
        actions = list(SupportAction.objects.about(subject))
        return {
            "title": f"Conversation {subject.pk}: {subject.title}",
            "buttons": registry.buttons(request, actions, subject),
            "orders": orders.order_by("-pk")[:50],
            "timeline": timeline.of_conversation(subject.pk, actions),
        }
