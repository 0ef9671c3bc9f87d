"""Page layout and security headers. A page loads nothing but its inline style sheet."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from aiohttp import web

from sandbox.pages.markup import Content, Markup, join, tag

_STYLE = (Path(__file__).parent / "style.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "Cache-Control": "no-store",
    # No form-action: browsers apply it to redirects too, and paying redirects to another site.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not no-referrer: browsers would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def render(
    title: str,
    *content: Content,
    status: int = 200,
    width: str = "narrow",
    language: str = "en",
) -> web.Response:
    """Render an HTML page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{title} | Sandbox"),
        tag("style", Markup(_STYLE)),
    )
    body = tag("body", _banner(), tag("main", *content, class_=width))
    document = join(Markup("<!doctype html>"), tag("html", head, body, lang=language))
    return web.Response(text=document, status=status, content_type="text/html", headers=_HEADERS)


def message_page(title: str, text: str, *content: Content, status: int = 200) -> web.Response:
    """Render a page with a heading and one paragraph."""
    return render(title, tag("h1", title), tag("p", text), *content, status=status)


def _banner() -> Markup:
    return tag(
        "p",
        tag("strong", "Sandbox"),
        " This is not Stripe. No money moves; only test cards work.",
        class_="ribbon",
        role="note",
    )
