"""The one-time token of a form that shows a secret."""

from __future__ import annotations

import secrets

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def form_token() -> SafeString:
    """A hidden field with a new token: sent twice, the form shows the same secret twice."""
    return format_html(
        '<input type="hidden" name="form_token" value="{}">', secrets.token_urlsafe(24)
    )
