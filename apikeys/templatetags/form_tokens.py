"""The one-time token of a form that shows a secret."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apikeys.forms import token_for

register = template.Library()


@register.simple_tag(takes_context=True)
def form_token(context: dict[str, Any], action: str, key_id: int | None) -> SafeString:
    """A hidden field with a token: sent twice, the form shows the same secret twice."""
    token = token_for(context["request"], action, key_id)
    return format_html('<input type="hidden" name="form_token" value="{}">', token)
