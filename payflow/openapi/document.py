"""The OpenAPI document of this process, made once, and the view that sends it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from threading import RLock
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

# drf-spectacular can't make two at once: requests of a fresh process failed.
_making = RLock()


def document() -> dict[str, Any]:
    with _making:
        return _document()


@cache
def _document() -> dict[str, Any]:
    generator: Any = SchemaGenerator()  # type: ignore[no-untyped-call]  # not typed
    made: dict[str, Any] = generator.get_schema(request=None, public=True)
    return made


@cache
def encoded() -> tuple[bytes, str]:
    """The document as JSON, and its ETag."""
    body = json.dumps(document(), ensure_ascii=False).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """`/api/schema`: the document, from memory."""
    body, etag = encoded()
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    return HttpResponse(body, content_type="application/json", headers=headers)
