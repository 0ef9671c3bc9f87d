"""Conversations at the desk: what was to be paid, by which orders it was, and what happened."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.models import Order
from conversations.models import Conversation
from support import timeline
from support.actions import base, operations
from support.admin.base import Columns, DeskAdmin
from support.templatetags.desk import badge


@admin.register(Conversation)
class ConversationAdmin(DeskAdmin[Conversation]):
    list_display = ("number", "title", "customer", "shown_status", "created_at")
    list_select_related = ("user",)
    page_template = "admin/desk_conversation.html"
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
        trail = operations.trail_of(subject)
        return {
            "title": f"Conversation {subject.pk}: {subject.title}",
            "buttons": base.buttons(request, trail, subject),
            "orders": orders.order_by("-pk")[:50],
            "timeline": timeline.of_conversation(subject.pk, trail),
        }
