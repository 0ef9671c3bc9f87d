"""The name and the support address of this site, on every page, mail and error page."""

from __future__ import annotations

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def site_name() -> str:
    return str(settings.SITE_NAME)


@register.simple_tag
def support_address() -> str:
    """Empty if there is none."""
    return str(settings.SUPPORT_ADDRESS)
