"""Parser of submitted HTML forms."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

_MAX_FIELDS = 100
_READ = frozenset({"application/x-www-form-urlencoded", "application/octet-stream"})


async def read_form(request: web.Request) -> dict[str, str]:
    """The submitted fields. Raises a 400 if the body is not a form."""
    if request.content_type not in _READ:
        raise web.HTTPBadRequest
    try:
        # Always UTF-8, whatever charset the request names: others can produce lone surrogates.
        text = (await request.read()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except (ValueError, web.RequestPayloadError) as error:
        raise web.HTTPBadRequest from error
    return dict(pairs)
