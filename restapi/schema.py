"""`operation`: what the OpenAPI document can't learn from a view's code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers

View = TypeVar("View", bound=Callable[..., Any])

# Read by payflow.openapi, which writes the responses.
PROBLEMS = "x-problems"

_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="Makes the request safe to repeat: a repeat with the same key and body makes "
    "nothing more. 1 to 255 visible ASCII characters; a UUID is a good one.",
)
_LOCATION = OpenApiParameter(
    "Location",
    {"type": "string", "format": "uri-reference"},
    OpenApiParameter.HEADER,
    required=True,
    response=[201],
    description="The path of what was created.",
)


def operation(
    operation_id: str,
    *,
    response: Any,
    status: int = 200,
    request: Any = None,
    filters: type[serializers.Serializer[Any]] | None = None,
    problems: Iterable[str] = (),
    idempotent: bool = False,
    **more: Any,
) -> Callable[[View], View]:
    """Describe a view's method. Its docstring is the summary and the description.

    `problems` are the codes that this operation alone sends. Those that follow from its
    permissions, path, parameters and body are added by `payflow.openapi`.
    """
    parameters: list[Any] = [filters] if filters else []
    if idempotent:
        parameters.append(_IDEMPOTENCY_KEY)
        problems = (*problems, "idempotency_key_refused")
    if status == 201:
        parameters.append(_LOCATION)
    describe: Callable[[View], View] = extend_schema(
        operation_id=operation_id,
        request=request,
        responses={status: response},
        parameters=parameters,
        extensions={PROBLEMS: list(problems)},
        **more,
    )
    return describe
