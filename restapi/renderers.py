"""JSON of the API's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

# Times as DRF writes them, those without a zone too: SQLite returns UTC so.
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
_encode_other_types = JSONEncoder().default


def encode(data: Any) -> bytes:
    return orjson.dumps(data, _encode_other_types, _OPTIONS)


def json_response(data: Any) -> HttpResponse:
    """An answer that needs no negotiation and no rendering afterwards, as a long one."""
    return HttpResponse(encode(data), content_type="application/json")


class OrjsonRenderer(JSONRenderer):
    """JSON by orjson: a list takes a tenth of the time of `json`."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else encode(data)
