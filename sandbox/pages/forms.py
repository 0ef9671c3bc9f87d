"""Decides how a page's form is read: texts only, and nonsense is a refusal rather than a crash."""

from __future__ import annotations

from aiohttp import web


async def read_form(request: web.Request) -> dict[str, str]:
    """What was typed. Raises a 400 for what cannot be read."""
    try:
        form = await request.post()
    except (ValueError, LookupError) as error:  # bytes that are no text, an unknown charset
        raise web.HTTPBadRequest from error
    return {name: value for name, value in form.items() if isinstance(value, str)}
