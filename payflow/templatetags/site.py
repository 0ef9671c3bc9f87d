"""The name and the support address of this site, on every page, mail and error page."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.templatetags.static import static

_STYLES = "payflow/site.css"

register = template.Library()


@register.simple_tag
def site_name() -> str:
    return str(settings.SITE_NAME)


@register.simple_tag
def support_address() -> str:
    """Empty if there is none."""
    return str(settings.SUPPORT_ADDRESS)


@register.simple_tag
def site_styles() -> str:
    """The URL of the site's own styles; empty if SITE_DIR has none."""
    folder = settings.SITE_DIR
    has_styles = folder is not None and (folder / "static" / _STYLES).is_file()
    return static(_STYLES) if has_styles else ""
